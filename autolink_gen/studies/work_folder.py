"""The folder of the runs for one table: resumed with the same settings, never mixed with others."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from autolink_gen.common.files import reading, write_text_atomically
from autolink_gen.common.json_files import read_small_json
from autolink_gen.common.text import shown
from autolink_gen.config import GraphRunConfig, to_yaml
from autolink_gen.runs import CONFIG_NAME
from autolink_gen.training.folders import MAY_CHANGE, changed_settings, move_aside
from autolink_gen.training.locks import locked_run
from autolink_gen.training.run_data import keep_record, source_of

SETTINGS_NAME, RUNS_NAME, TABLE_NAME = "settings.yaml", "runs.json", "table.md"
_MOST_BYTES = 2**20
# A table stands for its number of steps.
_MAY_CHANGE = MAY_CHANGE - {"training.steps"}
Runs = Mapping[str, GraphRunConfig]  # by their folders' names
Search = Mapping[str, str]


def open_work(
    folder: Path,
    base: GraphRunConfig,
    runs: Runs,
    *,
    max_minutes: float | None,
    fresh: bool,
    search: Search | None = None,
) -> None:
    """Make or take up the folder of runs that have the settings ``base`` in common, and note them there.

    ``search`` says what is drawn from where, by the names of settings. Raises ValueError, and changes nothing, where
    the folder holds a table of other settings or of runs that are not among these, and where one of its runs is in use
    and ``fresh`` would move it.
    """
    if fresh and folder.is_dir() and any(folder.iterdir()):
        _move_aside(folder)
    contents = source_of(base.data).contents()
    if (folder / TABLE_NAME).exists() and (
        differences := _differences(folder, base, runs, max_minutes=max_minutes, search=search or {})
    ):
        raise ValueError(
            f"{folder} holds a table of other settings: {'; '.join(differences)}. Give the same to go on, another "
            f"--name for another table, or --fresh to move the old one aside"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomically(folder / SETTINGS_NAME, to_yaml(base), follow_links=False)
    write_text_atomically(
        folder / RUNS_NAME,
        json.dumps({"runs": [*runs], "max_minutes": max_minutes, "search": dict(search or {})}, indent=1) + "\n",
        follow_links=False,
    )
    keep_record(folder, contents)


def _differences(
    folder: Path, base: GraphRunConfig, runs: Runs, *, max_minutes: float | None, search: Search
) -> list[str]:
    """A line for each setting that differs from those of the table in a folder."""
    if not (folder / SETTINGS_NAME).is_file():
        return _differences_of_old(folder, runs)
    differences = changed_settings(folder, base, but=_MAY_CHANGE, name=SETTINGS_NAME)
    names, minutes, searched = _recorded_runs(folder / RUNS_NAME)
    if minutes != max_minutes:
        differences.append(f"--max-minutes was {shown(minutes)}, now {max_minutes}")
    for name in sorted({*searched, *search}):
        if searched.get(name) != search.get(name):
            differences.append(f"{shown(name)} was {shown(searched.get(name))}, now {search.get(name)}")
    if differences:  # other settings may be other runs, of which there is no more to say
        return differences
    if missing := [name for name in names if name not in runs]:
        differences.append(
            f"its {len(names)} runs were {shown(', '.join(names))}, and {len(missing)} of them are none now"
        )
    return differences


def _differences_of_old(folder: Path, runs: Runs) -> list[str]:
    """The same of a folder of old, in which the runs alone say how they were made."""
    existing = {name: config for name, config in runs.items() if (folder / name / CONFIG_NAME).is_file()}
    if not existing:
        return ["none of its runs is one of these"]
    return sorted({
        text for name, config in existing.items() for text in changed_settings(folder / name, config, but=_MAY_CHANGE)
    })  # fmt: skip


def _recorded_runs(file: Path) -> tuple[list[str], float | None, dict[str, str]]:
    with reading(file, "list of runs", remedy="give another --name, or --fresh to move it aside"):
        values = read_small_json(file, most_bytes=_MOST_BYTES)
        minutes = values["max_minutes"]
        searched = {str(name): str(text) for name, text in values.get("search", {}).items()}
        return [str(name) for name in values["runs"]], None if minutes is None else float(minutes), searched


def _move_aside(folder: Path) -> None:
    """Give the folder another name; ValueError where another process trains in one of its runs."""
    with ExitStack() as held:
        for run in sorted(folder.iterdir()):
            if (run / CONFIG_NAME).is_file():
                held.enter_context(locked_run(run))
    move_aside(folder)
