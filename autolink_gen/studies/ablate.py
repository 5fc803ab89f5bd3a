"""The paper's ablations: train and score every variant, and write the paper's table."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autolink_gen.common.files import write_image, write_text_atomically
from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.common.text import counted
from autolink_gen.config import GraphRunConfig, build, explained_yaml
from autolink_gen.evaluation.score import check_scorable, score_graph
from autolink_gen.models.autolink import AutoLink
from autolink_gen.recipes import merge, read_recipe
from autolink_gen.studies.ablations import ABLATIONS, Ablation, Cell
from autolink_gen.studies.graph_runs import (
    GraphJob,
    Tell,
    claim_folder,
    common_settings,
    database_of,
    train_and_score,
)
from autolink_gen.studies.jobs import Job, Outcome, Results, work_through
from autolink_gen.studies.search import Value
from autolink_gen.studies.tables import Score, markdown_table, metric_of, summarise
from autolink_gen.training.launch import Launch
from autolink_gen.training.naming import run_name
from autolink_gen.training.plans import Choices
from autolink_gen.training.run_data import source_of
from autolink_gen.viz.charts import grid_chart

TABLE_NAME, PLOT_NAME = "table.md", "plot.png"


@dataclass(frozen=True)
class AblationPlan:
    """The runs of an ablation, each with its place in the table, and the folder where they are.

    ``base`` are the settings that the runs have in common.
    """

    ablation: Ablation
    recipe: str
    base: GraphRunConfig
    folder: Path
    runs: tuple[tuple[GraphJob, Cell], ...]
    num_seeds: int

    def lines(self) -> Iterator[str]:
        """The common configuration as YAML, and in comments what each run changes in it."""
        yield from (f"# recipe: {self.recipe}", f"# {self.folder}", *explained_yaml(self.base).splitlines())
        for job, cell in self.runs:
            values = [
                (f"{group}.{name}", value)
                for group, values_of_group in cell.settings.items()
                for name, value in values_of_group.items()
            ]
            changes = " ".join(f"{name}={json.dumps(value)}" for name, value in values)
            yield f"# {job.name}: {changes or 'as above'}"


@dataclass(frozen=True)
class AblationReport:
    """The scores of an ablation by the labels of its cells; the table as Markdown; the files that were written."""

    scores: Mapping[str, Score]
    table: str
    files: tuple[Path, ...]


def plan_ablation(kind: str, choices: Choices, *, num_keypoints: int | None = None, num_seeds: int = 1) -> AblationPlan:
    """Plan the runs of an ablation, by its name in ABLATIONS; ValueError for settings that cannot be."""
    if kind not in ABLATIONS:
        raise ValueError(f"there is no ablation {kind!r}; there are {', '.join(ABLATIONS)}")
    if kind == "thickness" and num_keypoints is not None:
        raise ValueError("ablate thickness tries 4, 8 and 16 keypoints; leave --num-keypoints out")
    recipe = choices.recipe_of("graph")
    options = choices.config_values(model={"num_keypoints": num_keypoints})
    values = merge(merge(read_recipe("graph", recipe), options), choices.changes("graph"))
    base = build(GraphRunConfig, values)
    name = choices.name or run_name(f"{kind}-{source_of(base.data).label}")
    seeds = [base.training.seed + number for number in range(num_seeds)]
    cells = ABLATIONS[kind].cells
    runs = tuple(_cell_run(values, cell, seed) for seed in seeds for cell in cells)  # all cells once, before any twice
    return AblationPlan(ABLATIONS[kind], recipe, base, choices.out / "ablate" / name, runs, num_seeds)


def _cell_run(values: Mapping[str, Any], cell: Cell, seed: int) -> tuple[GraphJob, Cell]:
    seeded = {"training": {"seed": seed}}
    config = build(GraphRunConfig, merge(merge(values, dict(cell.settings)), seeded))
    return GraphJob(f"{cell.label}-seed{seed}", config), cell


def run_ablation(
    plan: AblationPlan,
    launch: Launch,
    *,
    storage: str | None = None,
    tell: Tell = lambda line: None,
    progress: Progress = no_progress,
) -> AblationReport:
    """Train and score what is not done yet, beside other processes, and write the table and the plot.

    ``launch`` says how each run is trained. Raises ValueError where the images have no landmarks, or where the folder
    holds another table, and WorkStoppedError after a signal.
    """
    source = source_of(plan.base.data)
    check_scorable(source)
    claim_folder(launch, plan.base, [job for job, _ in plan.runs], storage=storage)
    runs = {job.key(launch.max_minutes): job for job, _ in plan.runs}

    def score(graph: AutoLink) -> tuple[str, float]:
        return score_graph(graph, source, progress=progress)

    def do(job: Job, params: Mapping[str, Value]) -> Outcome:
        return train_and_score(runs[job.key], launch, score, tell=tell)

    tell(f"{counted(len(runs), 'run')} in {plan.folder}")
    results = work_through(
        [_job(plan.ablation, job, cell, launch.max_minutes) for job, cell in plan.runs],
        do,
        storage=database_of(plan.folder, storage),
        title=plan.folder.name,
        on_done=lambda job, results_so_far: _write(plan, results_so_far, launch.max_minutes),
    )
    return _write(plan, results, launch.max_minutes)


def _job(ablation: Ablation, job: GraphJob, cell: Cell, max_minutes: float | None) -> Job:
    """A run as Optuna shows it: by its row and its column."""
    places = {ablation.rows: cell.row} | ({ablation.columns: cell.column} if ablation.columns else {})
    return Job(job.key(max_minutes), places, {"seed": job.config.training.seed})


def _write(plan: AblationPlan, results: Results, max_minutes: float | None) -> AblationReport:
    """Write the table and the plot of what is done so far."""
    done = [(cell, results[key]) for job, cell in plan.runs if (key := job.key(max_minutes)) in results]
    scores_by_cell: dict[str, list[float]] = {}
    for cell, outcome in done:
        scores_by_cell.setdefault(cell.label, []).append(outcome.score)
    scores, metric = summarise(scores_by_cell), metric_of(outcome for _, outcome in done)
    table = markdown_table(plan.ablation, scores, score=metric, seeds=plan.num_seeds)
    table += f"\n{common_settings(plan.runs[0][0].config, plan.recipe, max_minutes)}\n"
    files = plan.folder / TABLE_NAME, plan.folder / PLOT_NAME
    write_text_atomically(files[0], table)
    places = [(cell.row, cell.column, scores.get(cell.label)) for cell in plan.ablation.cells]
    chart = grid_chart(places, rows=plan.ablation.rows, columns=plan.ablation.columns, score=metric)
    write_image(files[1], chart)
    return AblationReport(scores, table, files)
