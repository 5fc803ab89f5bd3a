"""``autolink-gen ablate``: the paper's ablations, by one process or by many."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolink_gen.cli.many_runs import (
    GraphJob,
    claim_folder,
    common_settings,
    divide_work,
    many_runs_options,
    train_and_score,
)
from autolink_gen.cli.options import echo
from autolink_gen.cli.training_options import choices_of, training_options
from autolink_gen.common.progress import progress_bar

if TYPE_CHECKING:
    from autolink_gen.config import GraphRunConfig
    from autolink_gen.models.autolink import AutoLink
    from autolink_gen.studies.ablations import Ablation, Cell


@click.command()
@click.argument("what", type=click.Choice(["variants", "thickness", "masking"]))
@training_options
@click.option("--num-keypoints", type=int, help="How many; not for thickness, which tries several.")
@click.option("--batch-size", type=int, help="Pictures a step.")
@many_runs_options
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
    from autolink_gen.studies.ablations import ABLATIONS

    if what == "thickness" and options["num_keypoints"] is not None:
        raise click.UsageError("ablate thickness tries 4, 8 and 16 keypoints; leave --num-keypoints out")
    grid = _Grid(what, ABLATIONS[what], num_seeds, options)
    if options["dry_run"]:
        grid.show()
        return
    check_scorable(grid.data, root=grid.root)
    claim_folder(grid.folder, grid.base, (job for job, _ in grid.jobs.values()), options, storage=storage)
    divide_work(list(grid.jobs), grid.train_and_score, folder=grid.folder, storage=storage, write=grid.write)
    for name in ("table.md", "plot.png"):
        echo(f"wrote {grid.folder / name}")


@dataclass
class _Grid:
    """The runs of an ablation, and where they are.

    ``jobs`` are those of :meth:`GraphJob.key`, each with its place in the table.
    """

    what: str
    ablation: "Ablation"
    num_seeds: int
    options: dict[str, Any]
    folder: Path = field(init=False)
    data: str = field(init=False)
    recipe: str = field(init=False)
    base: "GraphRunConfig" = field(init=False)
    root: Path | None = field(init=False)
    jobs: dict[str, tuple[GraphJob, "Cell"]] = field(init=False)

    def __post_init__(self) -> None:
        from autolink_gen.config import GraphRunConfig, build
        from autolink_gen.recipes import merge, read_recipe
        from autolink_gen.training.naming import data_label, run_name
        from autolink_gen.training.plans import default_recipe

        options, choices = self.options, choices_of(self.options)
        self.recipe = options["recipe"] or default_recipe("graph", options["data"])
        given = choices.given(model={"num_keypoints": options["num_keypoints"]})
        base = merge(merge(read_recipe("graph", self.recipe), given), choices.settings or {})
        self.base = first = build(GraphRunConfig, base)
        name = options["name"] or run_name(f"{self.what}-{data_label(first.data.name)}")
        self.folder = options["out"] / "ablate" / name
        self.data, self.root = first.data.name, Path(first.data.root) if first.data.root else None
        self.jobs = {}
        for number in range(self.num_seeds):  # all cells once, before any twice
            for cell in self.ablation.cells:
                seeded = {"training": {"seed": first.training.seed + number}}
                config = build(GraphRunConfig, merge(merge(base, dict(cell.settings)), seeded))
                job = GraphJob(f"{cell.label}-seed{config.training.seed}", config)
                self.jobs[job.key(options["max_minutes"])] = job, cell

    def show(self) -> None:
        """Print the configuration that all runs share, and what each changes in it."""
        from autolink_gen.config import to_yaml

        echo(f"# recipe: {self.recipe}", f"# {self.folder}", *to_yaml(self.base).splitlines())
        for job, cell in self.jobs.values():
            values = [(f"{group}.{name}", value) for group, own in cell.settings.items() for name, value in own.items()]
            changes = " ".join(f"{name}={json.dumps(value)}" for name, value in values)
            echo(f"# {job.name}: {changes or 'as above'}")

    def train_and_score(self, key: str) -> dict[str, float]:
        """Train one run and score it."""
        return train_and_score(self.jobs[key][0], self.folder, self.options, self._score)

    def _score(self, graph: "AutoLink") -> tuple[str, float]:
        from autolink_gen.evaluation.score import score_graph

        return score_graph(graph, self.data, root=self.root, progress=progress_bar)

    def write(self, results: Mapping[str, Mapping[str, float]]) -> str:
        """Write the table and the plot of what is done so far; the table."""
        from autolink_gen.common.files import write_picture, write_text_atomically
        from autolink_gen.studies.ablations import markdown_table, summarise
        from autolink_gen.viz.charts import grid_chart

        found: dict[str, list[float]] = {}
        score = ""
        for key, (_, cell) in self.jobs.items():
            if key in results:
                (score, value), *_ = results[key].items()
                found.setdefault(cell.label, []).append(value)
        scores = summarise(found)
        (job, _), *_ = self.jobs.values()
        common = common_settings(job.config, self.recipe, self.options["max_minutes"])
        table = markdown_table(self.ablation, scores, score=score, seeds=self.num_seeds) + f"\n{common}\n"
        write_text_atomically(self.folder / "table.md", table)
        places = [(cell.row, cell.column, scores.get(cell.label)) for cell in self.ablation.cells]
        write_picture(
            self.folder / "plot.png",
            grid_chart(places, rows=self.ablation.rows, columns=self.ablation.columns, score=score),
        )
        return table
