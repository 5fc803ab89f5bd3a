"""A data set's own protocol over several seeds, beside what was published."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from autolink_gen.common.files import write_text_atomically
from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.common.text import counted
from autolink_gen.config import GraphRunConfig, build, explained_yaml
from autolink_gen.data.identity import public_data
from autolink_gen.data.published.sets import SETS, ImageSet, PublishedScore
from autolink_gen.evaluation.score import check_scorable, published_score
from autolink_gen.models.autolink import AutoLink
from autolink_gen.recipes import merge, read_recipe
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
from autolink_gen.studies.tables import benchmark_table
from autolink_gen.training.launch import Launch
from autolink_gen.training.naming import run_name
from autolink_gen.training.plans import Choices
from autolink_gen.training.run_data import source_of

TABLE_NAME = "table.md"


@dataclass(frozen=True)
class BenchmarkPlan:
    """The runs of a benchmark, one a seed, on the ``data`` as they were named, and the folder where they are."""

    data: str
    recipe: str
    folder: Path
    runs: tuple[GraphJob, ...]

    @property
    def first(self) -> GraphRunConfig:
        """The configuration of the first seed."""
        return self.runs[0].config

    def lines(self) -> Iterator[str]:
        """The configuration as YAML, the folder and the seeds in a comment."""
        seeds = ", ".join(str(job.config.training.seed) for job in self.runs)
        yield from (f"# {self.folder}, seeds {seeds}", *explained_yaml(self.first).splitlines())


@dataclass(frozen=True)
class BenchmarkReport:
    """The outcome of each seed by its run's name; the table as Markdown; the files that were written."""

    outcomes: Mapping[str, Outcome]
    table: str
    files: tuple[Path, ...]


def plan_benchmark(choices: Choices, *, num_keypoints: int | None = None, num_seeds: int = 1) -> BenchmarkPlan:
    """Plan a run a seed with the settings of the published runs over the recipe's; ValueError for what cannot be."""
    data = choices.data or "puppets"
    recipe = choices.recipe_of("graph")
    values = read_recipe("graph", recipe)
    if (entry := _entry(data)) is not None:
        values = merge(values, dict(entry.settings))
        if entry.figures and entry.figures[0].num_keypoints:
            values = merge(values, {"model": {"num_keypoints": entry.figures[-1].num_keypoints}})
    values = merge(values, choices.config_values(model={"num_keypoints": num_keypoints}))
    values = merge(values, choices.changes("graph"))
    first = build(GraphRunConfig, values)
    seeds = [first.training.seed + number for number in range(num_seeds)]
    configs = [build(GraphRunConfig, merge(values, {"training": {"seed": seed}})) for seed in seeds]
    name = choices.name or run_name(source_of(first.data).label, suffix=f"-k{first.model.num_keypoints}")
    runs = tuple(GraphJob(f"seed{config.training.seed}", config) for config in configs)
    return BenchmarkPlan(data, recipe, choices.out / "benchmark" / name, runs)


def run_benchmark(
    plan: BenchmarkPlan,
    launch: Launch,
    *,
    storage: str | None = None,
    tell: Tell = lambda line: None,
    progress: Progress = no_progress,
) -> BenchmarkReport:
    """Train and score the seeds that are not done yet, beside other processes, and write the table.

    ``launch`` says how each run is trained. Raises ValueError where the images have no landmarks, or where the folder
    holds another table, and WorkStoppedError after a signal.
    """
    source = source_of(plan.first.data)
    check_scorable(source)
    claim_folder(launch, plan.first, plan.runs, storage=storage)
    runs = {job.key(launch.max_minutes): job for job in plan.runs}

    def score(graph: AutoLink) -> tuple[str, float]:
        return published_score(graph, source, progress=progress)

    def do(job: Job, params: Mapping[str, Value]) -> Outcome:
        return train_and_score(runs[job.key], launch, score, tell=tell)

    tell(f"{counted(len(runs), 'run')} in {plan.folder}")
    results = work_through(
        [Job(key, {}, {"seed": job.config.training.seed}) for key, job in runs.items()],
        do,
        storage=database_of(plan.folder, storage),
        title=plan.folder.name,
        on_done=lambda job, results_so_far: _write(plan, results_so_far, launch.max_minutes),
    )
    return _write(plan, results, launch.max_minutes)


def _write(plan: BenchmarkPlan, results: Results, max_minutes: float | None) -> BenchmarkReport:
    """Write the table of the seeds that are done."""
    count = plan.first.model.num_keypoints
    outcomes = {job.name: results[key] for job in plan.runs if (key := job.key(max_minutes)) in results}
    table = benchmark_table(public_data(plan.data), count, outcomes, _published_score(plan.data, count))
    table += f"\n{common_settings(plan.first, plan.recipe, max_minutes)}\n"
    file = plan.folder / TABLE_NAME
    write_text_atomically(file, table)
    return BenchmarkReport(outcomes, table, (file,))


def _entry(data: str) -> ImageSet | None:
    entry = SETS.get(data)
    return entry if isinstance(entry, ImageSet) else None


def _published_score(data: str, count: int) -> PublishedScore | None:
    entry = _entry(data)
    figures = entry.figures if entry else ()
    return next((figure for figure in figures if figure.num_keypoints in (count, None)), None)
