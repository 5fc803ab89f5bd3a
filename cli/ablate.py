"""``autolink-gen ablate``: the paper's ablations, by one process or by many."""

import hashlib
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from autolink_gen.cli.shared import counted, progress_bar
from autolink_gen.cli.training_options import (
    data_label,
    default_recipe,
    given_settings,
    launch_of,
    report_end,
    training_options,
)

if TYPE_CHECKING:
    from autolink_gen.config import GraphRunConfig
    from autolink_gen.training.ablations import Ablation, Cell

_FINISHED_BY = (None, "the time limit")


@click.command()
@click.argument("what", type=click.Choice(["variants", "thickness", "masking"]))
@training_options
@click.option("--batch-size", type=int, help="Pictures a step.")
@click.option("--seeds", "num_seeds", type=click.IntRange(1, 100), default=1, show_default=True, help="Runs a cell.")
@click.option("--storage", metavar="URL", help="Database by which processes share the work, as Optuna takes it. "
              "[default: a file of SQLite in the folder]")  # fmt: skip
def ablate(what: str, num_seeds: int, storage: str | None, **options: Any) -> None:
    """Train and score the graph learner with one thing changed at a time, and write the paper's table.

    variants: a fixed alpha, a learned thickness, a channel an edge, no edges; thickness: number of keypoints and
    thickness; masking: how much is masked, in how large blocks. --max-minutes is for each run. Pictures need
    landmarks; without --data the puppets are taken. Repeating the command goes on; started several times, also on
    several machines that see the same folder or --storage, the processes share the runs.

    \b
    Examples:
      autolink-gen ablate variants --data faces68 --recipe cpu --max-minutes 10
      autolink-gen ablate masking --steps 1000 --seeds 3
    """
    from autolink_gen.evaluation.score import check_scorable
    from autolink_gen.training.ablations import ABLATIONS
    from autolink_gen.training.shared_work import WorkStoppedError, work_through

    grid = _Grid(what, ABLATIONS[what], num_seeds, options)
    if options["dry_run"]:
        for job in grid.jobs.values():
            click.echo(f"{job.name}: {dict(job.cell.settings)}")
        return
    check_scorable(grid.data, root=grid.root)
    grid.folder.mkdir(parents=True, exist_ok=True)
    click.echo(f"{counted(len(grid.jobs), 'run')} in {grid.folder}")
    try:
        results = work_through(
            list(grid.jobs),
            grid.train_and_score,
            storage=storage or f"sqlite:///{(grid.folder / 'work.db').resolve()}",
            on_done=lambda job, results: grid.write(results),
        )
    except WorkStoppedError as stopped:
        click.echo("repeat the command to go on")
        click.get_current_context().exit(128 + signal.Signals[str(stopped)])
    click.echo(grid.write(results), nl=False)
    for name in ("table.md", "plot.png"):
        click.echo(f"wrote {grid.folder / name}")


class _Job(NamedTuple):
    """One run: its folder's name, its place in the table, its configuration."""

    name: str
    cell: "Cell"
    config: "GraphRunConfig"


@dataclass
class _Grid:
    """The runs of an ablation, and where they are.

    ``jobs`` are known by their names and a digest of all that they depend on, so that other settings are other jobs.
    """

    what: str
    ablation: "Ablation"
    num_seeds: int
    options: dict[str, Any]
    folder: Path = field(init=False)
    data: str = field(init=False)
    root: Path | None = field(init=False)
    jobs: dict[str, _Job] = field(init=False)

    def __post_init__(self) -> None:
        from autolink_gen.config import GraphRunConfig, build
        from autolink_gen.recipes import merge, parse_overrides, read_recipe

        options = self.options
        recipe = options["recipe"] or default_recipe("graph", options["data"])
        base = merge(read_recipe("graph", recipe), given_settings(options))
        base = merge(base, parse_overrides(options["settings"]))
        first = build(GraphRunConfig, base)
        self.folder = options["out"] / "ablate" / (options["name"] or f"{self.what}-{data_label(first.data.name)}")
        self.data, self.root = first.data.name, Path(first.data.root) if first.data.root else None
        self.jobs = {}
        for number in range(self.num_seeds):  # all cells once, before any twice
            for cell in self.ablation.cells:
                seeded = {"training": {"seed": first.training.seed + number}}
                config = build(GraphRunConfig, merge(merge(base, dict(cell.settings)), seeded))
                job = _Job(f"{cell.label}-seed{config.training.seed}", cell, config)
                self.jobs[f"{job.name} {_digest(config, options['max_minutes'])}"] = job

    def train_and_score(self, key: str) -> dict[str, float]:
        """Train one run and score it; raises WorkStoppedError after a signal."""
        from autolink_gen.checkpoints import load_graph_model
        from autolink_gen.evaluation.score import score_graph
        from autolink_gen.training.graph import train_graph
        from autolink_gen.training.shared_work import WorkStoppedError

        job = self.jobs[key]
        click.echo(f"run {job.name}")
        run = train_graph(job.config, launch_of(self.options, self.folder / job.name))
        if run.stopped_by not in _FINISHED_BY:
            report_end(run)
            raise WorkStoppedError(run.stopped_by)
        graph = load_graph_model(self.folder / job.name)
        name, value = score_graph(graph, self.data, root=self.root, progress=progress_bar)
        click.echo(f"  {name}: {value:.2f} after {counted(run.progress.step, 'step')}")
        return {name: value, "steps": run.progress.step}

    def write(self, results: Mapping[str, Mapping[str, float]]) -> str:
        """Write the table and the plot of what is done so far; the table."""
        from autolink_gen.charts import grid_chart
        from autolink_gen.files import write_picture, write_text_atomically
        from autolink_gen.training.ablations import markdown_table, summarise

        found: dict[str, list[float]] = {}
        score = ""
        for key, job in self.jobs.items():
            if key in results:
                (score, value), *_ = results[key].items()
                found.setdefault(job.cell.label, []).append(value)
        scores = summarise(found)
        table = markdown_table(self.ablation, scores, score=score, seeds=self.num_seeds)
        write_text_atomically(self.folder / "table.md", table)
        places = [(cell.row, cell.column, scores[cell.label]) for cell in self.ablation.cells if cell.label in scores]
        write_picture(
            self.folder / "plot.png",
            grid_chart(places, rows=self.ablation.rows, columns=self.ablation.columns, score=score),
        )
        return table


def _digest(config: "GraphRunConfig", max_minutes: float | None) -> str:
    """What tells one run's settings from another's; where the data lie does not count."""
    from autolink_gen.config import to_dict

    values = to_dict(config)
    values["data"].pop("root")
    return hashlib.sha256(f"{values} {max_minutes}".encode()).hexdigest()[:8]
