"""Runs of the graph learner for one table, identified by their settings, trained and scored."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autolink_gen.checkpoints import load_graph_model
from autolink_gen.common.text import counted
from autolink_gen.config import GraphRunConfig, to_dict
from autolink_gen.data.identity import public_data
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.divergence import DivergedModelError
from autolink_gen.studies.jobs import Outcome, WorkStoppedError
from autolink_gen.studies.tables import to_markdown
from autolink_gen.studies.work_folder import open_work
from autolink_gen.training.graph import train_graph
from autolink_gen.training.guards import DivergedTrainingError
from autolink_gen.training.launch import Launch
from autolink_gen.training.report import ending

Tell = Callable[[str], object]
"""Hears, in lines, what long work is at."""
Scorer = Callable[[AutoLink], tuple[str, float]]
"""Scores a graph: the name of the score, and the score, the lower the better."""

_FINISHED_BY = (None, "the time limit")
# Settings that came later, at their defaults: runs that were done before them keep their keys.
_ADDED: dict[str, dict[str, Any]] = {
    "data": {"hold_out": 0},
    "training": {"precision": "32-true"},
    "model": {"detector": "residual", "features": None, "features_size": 128, "features_maps": None},
    "views": {"recolour": 0.0},
    "edges": {"length_weight": 0.0, "length_floor": 0.02, "dropout": 0.0},
}
_WAS_CALLED = {"perceptual": "loss"}  # groups that have another name since


@dataclass(frozen=True)
class GraphJob:
    """A run to train and score: its folder's name, its configuration."""

    name: str
    config: GraphRunConfig

    def key(self, max_minutes: float | None) -> str:
        """The name and a digest of all that the result depends on: other settings are another job."""
        return f"{self.name} {digest_of(self.config, max_minutes)}"


def digest_of(config: GraphRunConfig, *more: object) -> str:
    """A digest of settings, and of what else a result depends on; where the data lie does not count."""
    values = to_dict(config)
    values["data"].pop("root")
    values["data"]["workers"] = values["data"]["workers"] or 0  # 0 is what is chosen where nothing else pays
    for group, default in _ADDED.items():
        for name in [name for name, value in default.items() if values[group][name] == value]:
            values[group].pop(name)
    values = {_WAS_CALLED.get(group, group): settings for group, settings in values.items() if settings}
    return hashlib.sha256(" ".join(map(str, (values, *more))).encode()).hexdigest()[:8]


def common_settings(config: GraphRunConfig, recipe: str, max_minutes: float | None) -> str:
    """The settings common to the runs of a table, as the text below it."""
    length = config.training
    limit = f", {max_minutes:g} minutes at most" if max_minutes else ""
    names = f"{to_markdown(public_data(config.data.name))}, recipe {to_markdown(recipe)}"
    return f"{names}, {length.steps} steps of {length.batch_size} images{limit}"


def claim_folder(
    launch: Launch,
    base: GraphRunConfig,
    jobs: Sequence[GraphJob],
    *,
    storage: str | None,
    search: dict[str, str] | None = None,
) -> None:
    """Take up the folder of a table, or move it aside where the launch is ``fresh``.

    ``search`` says what is drawn, by the names of settings. Raises ValueError where the folder holds another table.
    """
    if launch.fresh and storage is not None:
        raise ValueError("--fresh cannot empty a --storage, which knows what is done: name another storage")
    runs = {job.name: job.config for job in jobs}
    open_work(launch.folder, base, runs, max_minutes=launch.max_minutes, fresh=launch.fresh, search=search)


def database_of(folder: Path, storage: str | None) -> str:
    """The database by which processes share the runs of a folder: the one named, else a file of SQLite in it."""
    return storage or f"sqlite:///{(folder / 'work.db').resolve()}"


def train_and_score(job: GraphJob, launch: Launch, score: Scorer, *, tell: Tell) -> Outcome:
    """Train one run in its folder inside the launch's and score it; its score is NaN where training diverged.

    Raises WorkStoppedError after a signal.
    """
    tell(f"run {job.name}")
    folder = launch.folder / job.name
    try:
        run = train_graph(job.config, replace(launch, folder=folder, fresh=False))  # new, or begun by another process
        if run.stopped_by not in _FINISHED_BY:
            for line in ending(run):
                tell(line)
            raise WorkStoppedError(run.stopped_by)
        metric, value = score(load_graph_model(folder))
    except (DivergedTrainingError, DivergedModelError) as error:
        tell(f"  no score: {error}")
        return Outcome(math.nan, "", 0)
    tell(f"  {metric}: {value:.2f} after {counted(run.progress.step, 'step')}")
    return Outcome(value, metric, run.progress.step)
