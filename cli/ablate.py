"""``autolink-gen ablate``: the paper's ablations, by one process or by many."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    ablation = ABLATIONS[what]
    grid = _Grid(ablation, num_seeds, options)
    if options["dry_run"]:
        for job in grid.jobs:
            click.echo(f"{job}: {dict(grid.cells[job].settings)}")
        return
    check_scorable(grid.data, root=grid.root)
    grid.folder.mkdir(parents=True, exist_ok=True)
    click.echo(f"{counted(len(grid.jobs), 'run')} in {grid.folder}")
    try:
        results = work_through(
            grid.jobs,
            grid.train_and_score,
            storage=storage or f"sqlite:///{(grid.folder / 'work.db').resolve()}",
            on_done=lambda job, results: grid.write(results),
        )
    except WorkStoppedError as stopped:
        raise click.ClickException(f"{stopped}; repeat the command to go on") from None
    click.echo(grid.write(results), nl=False)
    for name in ("table.md", "plot.png"):
        click.echo(f"wrote {grid.folder / name}")


@dataclass
class _Grid:
    """The runs of an ablation, a job each, and where they are."""

    ablation: "Ablation"
    num_seeds: int
    options: dict[str, Any]
    folder: Path = field(init=False)
    data: str = field(init=False)
    root: Path | None = field(init=False)
    cells: "dict[str, Cell]" = field(init=False)
    configs: "dict[str, GraphRunConfig]" = field(init=False)

    def __post_init__(self) -> None:
        from autolink_gen.config import GraphRunConfig, build
        from autolink_gen.recipes import merge, parse_overrides, read_recipe
        from autolink_gen.training.ablations import ABLATIONS

        options = self.options
        recipe = options["recipe"] or default_recipe("graph", options["data"])
        base = merge(read_recipe("graph", recipe), given_settings(options))
        base = merge(base, parse_overrides(options["settings"]))
        first = build(GraphRunConfig, base)
        what = next(name for name, ablation in ABLATIONS.items() if ablation is self.ablation)
        self.folder = options["out"] / "ablate" / (options["name"] or f"{what}-{data_label(first.data.name)}")
        self.data, self.root = first.data.name, Path(first.data.root) if first.data.root else None
        self.cells, self.configs = {}, {}
        for number in range(self.num_seeds):  # all cells once, before any twice
            for cell in self.ablation.cells:
                job = f"{cell.label}-seed{first.training.seed + number}"
                seeded = {"training": {"seed": first.training.seed + number}}
                self.cells[job] = cell
                self.configs[job] = build(GraphRunConfig, merge(merge(base, dict(cell.settings)), seeded))

    @property
    def jobs(self) -> list[str]:
        """The names of the runs."""
        return list(self.cells)

    def train_and_score(self, job: str) -> dict[str, float]:
        """Train one run and score it; raises WorkStoppedError after a signal."""
        from autolink_gen.checkpoints import load_graph_model
        from autolink_gen.evaluation.score import score_graph
        from autolink_gen.training.graph import train_graph
        from autolink_gen.training.shared_work import WorkStoppedError

        config = self.configs[job]
        click.echo(f"run {job}")
        run = train_graph(config, launch_of(self.options, self.folder / job))
        if run.stopped_by not in _FINISHED_BY:
            report_end(run)
            raise WorkStoppedError(f"stopped by {run.stopped_by}")
        graph = load_graph_model(self.folder / job)
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
        for job in self.jobs:
            if job in results:
                (score, value), *_ = results[job].items()
                found.setdefault(self.cells[job].label, []).append(value)
        scores = summarise(found)
        table = markdown_table(self.ablation, scores, score=score, seeds=self.num_seeds)
        write_text_atomically(self.folder / "table.md", table)
        places = [(cell.row, cell.column, scores[cell.label]) for cell in self.ablation.cells if cell.label in scores]
        write_picture(
            self.folder / "plot.png",
            grid_chart(places, rows=self.ablation.rows, columns=self.ablation.columns, score=score),
        )
        return table
