"""The folder of a run: new, or resumed with the same settings."""

import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from autolink_gen.checkpoints import GRAPH_NAME, WEIGHTS_NAME
from autolink_gen.common.files import BadFileError, aside_of, check_free, write_text_atomically
from autolink_gen.common.text import shown
from autolink_gen.config import build, to_dict, to_yaml
from autolink_gen.data.contents import Contents
from autolink_gen.recipes import read_settings
from autolink_gen.runs import CONFIG_NAME
from autolink_gen.training.locks import LOCK_NAME, locked_run
from autolink_gen.training.run_data import DATA_NAME, other_data

log = logging.getLogger(__name__)
METRICS_NAME = "metrics.jsonl"
CHECKPOINTS_NAME = "checkpoints"
# What write_atomically leaves when it is killed, and what safetensors left in runs of old.
_LEFTOVER = re.compile(r"\.[\w-]+\.(yaml|jsonl?|png|safetensors)\.\d+\.tmp|\.tmp[A-Za-z0-9]{6}")

_SAMPLES = "samples"
_MADE_BY_SAVES = (WEIGHTS_NAME, "graph.png", "grid.png", _SAMPLES)
# A folder that is no run's may hold such files, and a run writes some of them.
_WRITTEN = (".png", ".json", ".jsonl", ".safetensors")

# Settings with which a run may be gone on with.
MAY_CHANGE = {"training.steps", "training.save_every", "training.keep_last", "training.grid_every"}
MAY_CHANGE |= {"training.log_every", "training.max_bad_steps", "data.root", "data.workers"}
MAY_CHANGE |= {"progress.pictures", "training.precision", "perceptual.weights"}
# A run keeps a copy of its graph, which is compared instead; so are the keypoints left out, by whichever clusters.
MAY_CHANGE |= {"graph.run", "graph.clusters", "graph.dropped_clusters"}


def check_place(folder: Path) -> None:
    """ValueError where a file is in the way of a run's folder, or no file in the place of a run's file."""
    in_the_way = next((path for path in (folder, *folder.parents) if path.is_file()), None)
    if in_the_way:
        raise ValueError(f"{in_the_way} is a file: choose another --name or --out")
    for name in (CONFIG_NAME, METRICS_NAME, WEIGHTS_NAME, GRAPH_NAME, DATA_NAME):
        if (folder / name).exists() and not (folder / name).is_file():  # a pipe would be waited for without end
            raise ValueError(f"{folder / name} is no file: move it away, or choose another --name")


def holds_run(folder: Path) -> bool:
    """Whether a folder holds a run: trained, begun or imported."""
    return any(os.path.lexists(folder / name) for name in (CONFIG_NAME, WEIGHTS_NAME, CHECKPOINTS_NAME, GRAPH_NAME))


def is_only_begun(folder: Path) -> bool:
    """Whether a folder's run has no save yet, so that nothing is lost by starting anew."""
    if not (folder / CONFIG_NAME).is_file() or any(os.path.lexists(folder / name) for name in _MADE_BY_SAVES):
        return False
    try:
        saves = [path for path in (folder / CHECKPOINTS_NAME).iterdir() if path.name[0] != "."]
    except FileNotFoundError:
        return True
    except OSError:  # what cannot be listed may hold anything
        return False
    return not saves


def check_run(folder: Path, config: Any, contents: Contents | None = None) -> None:
    """ValueError where the folder holds a run with other settings; ``contents`` are those of its data.

    A run that came to no save is as good as none: that it had other settings is only said.
    """
    if not (folder / CONFIG_NAME).exists():
        return
    differences = changed_settings(folder, config, but=MAY_CHANGE, contents=contents)
    if differences and is_only_begun(folder):
        log.warning("%s holds a run that came to no save: it begins anew, %s", folder, "; ".join(differences))
    elif differences:
        raise ValueError(
            f"{folder} holds a run with other settings: {'; '.join(differences)}. Give the same to resume it, "
            f"another --name for a new run, or --fresh to move the old one aside"
        )


def goes_on_with(folder: Path, config: Any) -> bool:
    """Whether the run in a folder, if any, can be resumed with these settings, whatever its data.

    A file of settings that cannot be read is left to :func:`check_run`, which says so.
    """
    if not (folder / CONFIG_NAME).is_file() or is_only_begun(folder):
        return True
    try:
        old = read_config(folder, type(config))
    except ValueError:
        return True
    changed = {key for key, _ in _differences(to_dict(old), to_dict(config))}
    return changed <= {*MAY_CHANGE, "data.name"}


def check_nothing_lost(folder: Path) -> None:
    """ValueError where a folder without saves holds files that a new run would replace.

    They are trained weights, or whatever a run writes in a folder that is no run's.
    """
    if os.path.lexists(folder / WEIGHTS_NAME):
        raise ValueError(
            f"{folder} holds trained weights ({WEIGHTS_NAME}) and no save to go on from in {CHECKPOINTS_NAME}: bring "
            f"the saves back, give another --name for a new run, or --fresh to move the old one aside"
        )
    if os.path.lexists(folder / CONFIG_NAME):
        return
    others = sorted(path.name for path in folder.iterdir() if path.suffix in _WRITTEN and path.name[0] != ".")
    others += [_SAMPLES] if (folder / _SAMPLES).is_dir() and any((folder / _SAMPLES).iterdir()) else []
    if others:
        raise ValueError(
            f"{folder} is no run of ours and holds {shown(others[0])}"
            f"{f' and {len(others) - 1} more' if len(others) > 1 else ''}, beside which a run would write files of "
            f"its own: give another --name, or move what is there away"
        )


def check_importable(folder: Path, *, overwrite: bool) -> None:
    """ValueError where imported weights would replace others, or lie in a trained run."""
    check_place(folder)
    trained = [name for name in (CONFIG_NAME, CHECKPOINTS_NAME, GRAPH_NAME) if os.path.lexists(folder / name)]
    if trained:
        raise ValueError(f"{folder} holds a run that is trained here ({trained[0]}): give another --name")
    check_free(folder / WEIGHTS_NAME, overwrite=overwrite, option="--name")


def clear_leftovers(folder: Path) -> None:
    """Remove temporary files that killed writes left in a run's folder; the caller holds its lock."""
    for place in (folder, folder / _SAMPLES):
        for file in place.iterdir() if place.is_dir() else ():
            if _LEFTOVER.fullmatch(file.name) and file.is_file():
                file.unlink(missing_ok=True)


def write_config(folder: Path, config: Any, *, comments: Iterable[str] = ()) -> None:
    """Write the resolved configuration to ``config.yaml``, below lines of comments."""
    text = "".join(f"{line}\n" for line in comments) + to_yaml(config)
    write_text_atomically(folder / CONFIG_NAME, text, follow_links=False)


def changed_settings(
    folder: Path, config: Any, *, but: Collection[str], contents: Contents | None = None, name: str = CONFIG_NAME
) -> list[str]:
    """A line for each setting that differs from the run in a folder, ``but`` for some.

    Data in another place that hold the same are no other setting; ``contents`` are theirs, where they are known.
    """
    old = read_config(folder, type(config), name=name)
    but = {*but, "data.name", "data.root"}
    changes = [text for key, text in sorted(_differences(to_dict(old), to_dict(config))) if key not in but]
    return sorted(changes + other_data(folder, old.data, config.data, contents=contents))


def read_config(folder: Path, kind: type[Any], *, name: str = CONFIG_NAME) -> Any:
    """The configuration in a folder's settings file; BadFileError, which names it, for another kind."""
    values = read_settings(folder / name)
    try:
        return build(kind, values)
    except ValueError as error:
        raise BadFileError(
            f"{folder / name} is none of such a run: {error}; give another --name, or --fresh to move it aside"
        ) from error


def move_aside(folder: Path) -> None:
    """Rename a run's folder to a free name; ValueError where another process trains in it."""
    with locked_run(folder):
        aside = aside_of(folder)
        folder.rename(aside)
        (aside / LOCK_NAME).unlink(missing_ok=True)
    log.warning("the run that was in %s is now in %s", folder, aside)


def make_folder(folder: Path) -> None:
    """Make a run's folder; OSError, with a remedy, where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot make the run's folder {folder}: {error.strerror}; choose another --out") from error


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The dotted names of settings that differ, each with a message."""
    for name, value in new.items():
        if isinstance(value, dict):
            yield from _differences(old[name], value, f"{prefix}{name}.")
        elif old[name] != value:
            yield prefix + name, f"{prefix}{name} was {shown(old[name])}, now {shown(value)}"
