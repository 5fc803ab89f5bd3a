"""Sweeps: train and score the graph learner with several settings, and say which is best."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.common.text import counted
from autolink_gen.evaluation.score import check_scorable, score_graph
from autolink_gen.models.autolink import AutoLink
from autolink_gen.studies.graph_runs import (
    GraphJob,
    Tell,
    claim_folder,
    common_settings,
    database_of,
    train_and_score,
)
from autolink_gen.studies.jobs import Job, Outcome, Results, work_through
from autolink_gen.studies.search import Range, Value
from autolink_gen.studies.sweep_axes import axes_of
from autolink_gen.studies.sweep_plan import Sampler, SweepPlan, Trial, plan_sweep
from autolink_gen.studies.sweep_table import SweepRow, sort_rows, write_tables
from autolink_gen.studies.tables import metric_of
from autolink_gen.training.launch import Launch
from autolink_gen.training.plans import choices_of
from autolink_gen.training.run_data import source_of


@dataclass(frozen=True)
class SweepReport:
    """What a sweep found: the rows by their score, the lowest first; the table as Markdown; the files written.

    ``command`` trains with the best settings, for as long as the recipe says; it is empty where all runs diverged.
    """

    folder: Path
    metric: str
    rows: tuple[SweepRow, ...]
    table: str
    files: tuple[Path, ...]
    command: str

    @property
    def best(self) -> SweepRow | None:
        """The row with the lowest score; None where all runs diverged."""
        return self.rows[0] if math.isfinite(self.rows[0].mean) else None


def sweep(
    settings: Mapping[str, Sequence[Any] | Range | str],
    data: str | Path | None = None,
    *,
    recipe: str | None = None,
    steps: int | None = None,
    num_seeds: int = 1,
    sampler: Sampler | None = None,
    trials: int | None = None,
    max_minutes: float | None = None,
    batch_size: int | None = None,
    mirror: bool | None = None,
    seed: int | None = None,
    data_root: str | Path | None = None,
    name: str | None = None,
    out: str | Path = "runs",
    storage: str | None = None,
    fresh: bool = False,
    devices: int | str = "auto",
    precision: str | None = None,
    tell: Tell = lambda line: None,
    progress: Progress = no_progress,
) -> SweepReport:
    """Train and score a graph with each of several settings, as the command ``sweep`` does.

    ``settings`` by dotted names: ``{"optimiser.lr": [1e-4, 1e-3]}`` tries each value of the list, ``"1e-5..1e-2"`` or
    ``Range(1e-5, 1e-2)`` draws from a range, and a single value holds for all trials. ``sampler`` and ``trials`` are
    those of :func:`plan_sweep`, all else is as for `learn_graph`. Processes that make the same call share the trials,
    and repeating it goes on. Raises ValueError for what cannot be tried or scored: the images need landmarks.
    """
    fixed, axes = axes_of(settings)
    choices = choices_of(
        data,
        data_root,
        recipe,
        name,
        out,
        mirror=mirror,
        seed=seed,
        steps=steps,
        batch_size=batch_size,
        settings=fixed,
        devices=devices,
    )
    plan = plan_sweep(choices, axes, num_seeds=num_seeds, sampler=sampler, trials=trials)
    launch = Launch(plan.folder, devices, 1, precision, max_minutes, fresh)
    return run_sweep(plan, launch, storage=storage, tell=tell, progress=progress)


def run_sweep(
    plan: SweepPlan,
    launch: Launch,
    *,
    storage: str | None = None,
    tell: Tell = lambda line: None,
    progress: Progress = no_progress,
) -> SweepReport:
    """Train and score what is not done yet, beside other processes, and write the tables.

    ``launch`` says how each run is trained. Raises ValueError where the images have no landmarks, or where the folder
    holds another table, and WorkStoppedError after a signal.
    """
    source = source_of(plan.base.data)
    check_scorable(source)
    jobs = [plan.job(trial, launch.max_minutes) for trial in plan.trials]
    trials = {job.key: trial for job, trial in zip(jobs, plan.trials, strict=True)}
    graph_jobs = [GraphJob(trial.name, plan.base) for trial in plan.trials]
    claim_folder(launch, plan.base, graph_jobs, storage=storage, search=plan.searched())

    def score(graph: AutoLink) -> tuple[str, float]:
        return score_graph(graph, source, progress=progress)

    def do(job: Job, params: Mapping[str, Value]) -> Outcome:
        trial = trials[job.key]
        runs = plan.runs(trial, _settings(plan, trial, params))
        return _mean_outcome([train_and_score(run, launch, score, tell=tell) for run in runs])

    tell(f"{counted(len(trials), 'trial')} in {plan.folder}")
    results = work_through(
        jobs,
        do,
        storage=database_of(plan.folder, storage),
        title=plan.folder.name,
        search=plan.search,
        on_done=lambda job, results_so_far: _write(plan, trials, results_so_far, launch.max_minutes),
    )
    return _write(plan, trials, results, launch.max_minutes)


def _settings(plan: SweepPlan, trial: Trial, params: Mapping[str, Value]) -> Mapping[str, Any]:
    """A trial's settings: its own, or those that were drawn for it."""
    return trial.settings or {axis.name: axis.value_of(params[axis.name]) for axis in plan.axes}


def _mean_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of several seeds: the mean of their scores."""
    scores = tuple(outcome.score for outcome in outcomes)
    return Outcome(float(np.mean(scores)), metric_of(outcomes), max(outcome.steps for outcome in outcomes), scores)


def _write(plan: SweepPlan, trials: Mapping[str, Trial], results: Results, max_minutes: float | None) -> SweepReport:
    """Write the tables of what is done so far."""
    rows = sort_rows([
        SweepRow(
            trial.name,
            _settings(plan, trial, results[key].params),
            results[key].scores,
            tuple(plan.folder / f"{trial.name}-seed{seed}" for seed in plan.seeds),
        )
        for key, trial in trials.items()
        if key in results
    ])  # fmt: skip
    metric = metric_of(results.values())
    note = common_settings(plan.base, plan.recipe, max_minutes)
    table, files = write_tables(plan.folder, rows, metric=metric, note=note)
    command = plan.train_command(rows[0].settings) if math.isfinite(rows[0].mean) else ""
    return SweepReport(plan.folder, metric, tuple(rows), table, files, command)
