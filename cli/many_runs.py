"""What the commands that train several graphs share: runs known by their settings, which processes divide."""

import hashlib
import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from autolink_gen.cli.options import echo
from autolink_gen.cli.training_options import Command, launch_of, report_end
from autolink_gen.common.text import counted

if TYPE_CHECKING:
    from autolink_gen.config import GraphRunConfig
    from autolink_gen.models.autolink import AutoLink

Values = dict[str, float]
_FINISHED_BY = (None, "the time limit")
# Settings that came later, at their defaults: runs that were done before them keep their keys.
_ADDED: dict[str, dict[str, Any]] = {
    "data": {"hold_out": 0},
    "training": {"precision": "32-true"},
    "model": {"detector": "residual", "features": None, "features_size": 128, "features_maps": None},
    "views": {"recolour": 0.0},
    "edges": {"length_weight": 0.0, "length_floor": 0.02, "dropout": 0.0},
}


def many_runs_options(command: Command) -> Command:
    """Add ``--seeds`` and ``--storage`` to a command that trains several graphs."""
    seeds = click.option("--seeds", "num_seeds", type=click.IntRange(1, 100), default=1, show_default=True,
                         help="Runs of each kind.")  # fmt: skip
    storage = click.option("--storage", metavar="URL", help="Database by which processes share the work, as Optuna "
                           "takes it. [default: a file of SQLite in the folder]")  # fmt: skip
    return seeds(storage(command))


class GraphJob(NamedTuple):
    """One run to train and score: its folder's name, its configuration."""

    name: str
    config: "GraphRunConfig"

    def key(self, max_minutes: float | None) -> str:
        """The name and a digest of all that the result depends on: other settings are another job.

        Where the data lie does not count.
        """
        from autolink_gen.config import to_dict

        values = to_dict(self.config)
        values["data"].pop("root")
        for group, default in _ADDED.items():
            for name in [name for name, value in default.items() if values[group][name] == value]:
                values[group].pop(name)
        values = {group: settings for group, settings in values.items() if settings}
        digest = hashlib.sha256(f"{values} {max_minutes}".encode()).hexdigest()[:8]
        return f"{self.name} {digest}"


def common_settings(config: "GraphRunConfig", recipe: str, max_minutes: float | None) -> str:
    """What runs that differ in one thing have in common, to stand below their table."""
    from autolink_gen.data.identity import public_data
    from autolink_gen.studies.ablations import to_markdown

    length = config.training
    limit = f", {max_minutes:g} minutes at most" if max_minutes else ""
    names = f"{to_markdown(public_data(config.data.name))}, recipe {to_markdown(recipe)}"
    return f"{names}, {length.steps} steps of {length.batch_size} pictures{limit}"


def train_and_score(
    job: GraphJob, folder: Path, options: dict[str, Any], score: Callable[["AutoLink"], tuple[str, float]]
) -> Values:
    """Train one run in its folder inside `folder` and score it; raises WorkStoppedError after a signal."""
    from autolink_gen.checkpoints import load_graph_model
    from autolink_gen.studies.jobs import WorkStoppedError
    from autolink_gen.training.graph import train_graph

    echo(f"run {job.name}")
    run = train_graph(job.config, launch_of(options, folder / job.name))
    if run.stopped_by not in _FINISHED_BY:
        report_end(run)
        raise WorkStoppedError(run.stopped_by)
    name, value = score(load_graph_model(folder / job.name))
    echo(f"  {name}: {value:.2f} after {counted(run.progress.step, 'step')}")
    return {name: value, "steps": run.progress.step}


def claim_folder(
    folder: Path, base: "GraphRunConfig", jobs: Iterable[GraphJob], options: dict[str, Any], *, storage: str | None
) -> None:
    """Take the folder of a table up, or with --fresh move it aside; ValueError where its settings are others."""
    from autolink_gen.studies.work_folder import open_work

    fresh = not options["resume"]
    if fresh and storage is not None:
        raise click.UsageError("--fresh cannot empty a --storage, which knows what is done: name another storage")
    runs = {job.name: job.config for job in jobs}
    open_work(folder, base, runs, max_minutes=options["max_minutes"], fresh=fresh)
    options["resume"] = True  # each of its runs is new, or begun by a process beside this one


def divide_work(
    jobs: list[str],
    do: Callable[[str], Values],
    *,
    folder: Path,
    storage: str | None,
    write: Callable[[Mapping[str, Values]], str],
) -> None:
    """Do the jobs that nobody has done, beside other processes, and print the last of the tables that `write` makes."""
    from autolink_gen.studies.jobs import WorkStoppedError, work_through

    echo(f"{counted(len(jobs), 'run')} in {folder}")
    database = storage or f"sqlite:///{(folder / 'work.db').resolve()}"
    try:
        results = work_through(jobs, do, storage=database, on_done=lambda job, results: write(results))
    except WorkStoppedError as stopped:
        click.get_current_context().exit(128 + signal.Signals[str(stopped)])
    echo(*write(results).splitlines())
