"""What several commands need of a run's own data."""

from pathlib import Path
from typing import Any

import click


def evaluated_data(run: Path, options: dict[str, Any]) -> tuple[str, Path | None, dict[str, Any]]:
    """The name of the data to evaluate a run on, its root, and the run's settings of data where they are its own.

    UsageError where neither --data nor the run says what it is, and where the run's own is not there any more.
    """
    settings = run_settings(run, "data") if options["data"] is None else {}
    data = options["data"] or settings.get("name")
    if data is None:
        raise click.UsageError("the weights alone do not say what they were trained on; give --data")
    if not options["data"]:
        check_own_data(data, run)
    return data, options["data_root"] or (Path(settings["root"]) if settings.get("root") else None), settings


def check_own_data(data: str, run: Path) -> None:
    """UsageError where a run's own data are a path that is not there: the run, or they, have been moved."""
    from autolink_gen.data.source import open_source

    if lost := open_source(data).lost:
        raise click.UsageError(
            f"the run {run} was trained on {lost[0]}, which is not there any more: give --data with its place now, or "
            f"with other data"
        )


def run_settings(run: Path, group: str) -> dict[str, Any]:
    """One group of a run's settings, as its config.yaml has them; empty where there is no such file."""
    from autolink_gen.recipes import read_settings

    file = run / "config.yaml"
    settings: dict[str, Any] = read_settings(file).get(group, {}) if file.is_file() else {}
    return settings
