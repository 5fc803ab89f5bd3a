"""The folder of a run: made, or taken up again where its settings are the same."""

import json
import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from autolink_gen.config import build, to_dict, to_yaml
from autolink_gen.files import write_text_atomically
from autolink_gen.recipes import read_yaml

log = logging.getLogger(__name__)

# Settings with which a run may be gone on with.
MAY_CHANGE = {"training.steps", "training.save_every", "training.keep_last", "training.grid_every"}
MAY_CHANGE |= {"training.log_every", "training.max_bad_steps", "data.root", "data.workers", "loss.weights"}
MAY_CHANGE |= {"progress.pictures"}
# A run keeps a copy of its graph, which is compared instead; so are the keypoints left out, by whichever clusters.
MAY_CHANGE |= {"graph.run", "graph.clusters", "graph.dropped_clusters"}


def drop_later_lines(path: Path, step: int) -> None:
    """Forget what was logged after the save that a run resumes from."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (json.JSONDecodeError, KeyError, TypeError):  # a line that a kill cut short
            continue
    write_text_atomically(path, "".join(kept))


def open_folder(folder: Path, config: Any, *, fresh: bool) -> None:
    """Make the run's folder, or take up the one that is there.

    The resolved configuration is written to ``config.yaml``. Raises ValueError where the folder holds a run
    with other settings; with ``fresh`` the old run is moved aside, never deleted.
    """
    file = folder / "config.yaml"
    in_the_way = next((path for path in (folder, *folder.parents) if path.is_file()), None)
    if in_the_way:
        raise ValueError(f"{in_the_way} is a file: choose another --name or --out")
    if fresh and file.exists():
        move_aside(folder)
    if file.exists() and (differences := changed_settings(folder, config, but=MAY_CHANGE)):
        raise ValueError(
            f"{folder} holds a run with other settings: {'; '.join(differences)}. Give the same to resume it, "
            f"another --name for a new run, or --fresh to move the old one aside"
        )
    _make(folder)
    for leftover in (*folder.glob(".*.tmp"), *folder.glob("samples/.*.tmp")):  # of a run that was killed
        leftover.unlink(missing_ok=True)
    write_text_atomically(file, to_yaml(config))


def changed_settings(folder: Path, config: Any, *, but: Collection[str]) -> list[str]:
    """What to say of each setting of a configuration that the run in a folder has otherwise, ``but`` for some."""
    file = folder / "config.yaml"
    old = build(type(config), read_yaml(file.read_text(), source=str(file)))
    return [text for name, text in sorted(_differences(to_dict(old), to_dict(config))) if name not in but]


def move_aside(folder: Path) -> None:
    """Give a run's folder another name, which no folder has."""
    aside = next(p for n in range(1, 10**6) if not (p := folder.with_name(f"{folder.name}.old{n}")).exists())
    folder.rename(aside)
    log.warning("the run that was in %s is now in %s", folder, aside)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot make the run's folder {folder}: {error.strerror}; choose another --out") from error


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The settings that differ, as in data.flip, and what to say of each."""
    for name, value in new.items():
        if isinstance(value, dict):
            yield from _differences(old[name], value, f"{prefix}{name}.")
        elif old[name] != value:
            yield prefix + name, f"{prefix}{name} was {old[name]}, now {value}"
