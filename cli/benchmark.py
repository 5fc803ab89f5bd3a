"""``autolink-gen benchmark``: a set's own protocol over several seeds, beside what was published."""

from collections.abc import Mapping
from functools import partial
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
from autolink_gen.cli.training_options import choices_of, run_options
from autolink_gen.common.progress import progress_bar

if TYPE_CHECKING:
    from autolink_gen.config import GraphRunConfig
    from autolink_gen.data.published.sets import Figure, PictureSet
    from autolink_gen.models.autolink import AutoLink


@click.command()
@click.argument("data")
@run_options
@click.option("--num-keypoints", type=int, help="How many. [default: the paper's for this set]")
@click.option("--batch-size", type=int, help="Pictures a step.")
@many_runs_options
def benchmark(data: str, num_seeds: int, storage: str | None, **options: Any) -> None:
    """Train a graph on DATA, score it by the set's own protocol, over several seeds, and print the paper's table.

    Named sets bring the settings of the published runs, over those of the recipe; --set changes any of them.
    Repeating the command goes on; started several times, the processes share the runs.

    \b
    Examples:
      autolink-gen benchmark celeba-wild --num-keypoints 8 --seeds 10
      autolink-gen benchmark faces68 --recipe cpu --steps 1200 --seeds 3
    """
    from autolink_gen.config import to_yaml
    from autolink_gen.evaluation.score import check_scorable, published_score
    from autolink_gen.training.naming import data_label, run_name
    from autolink_gen.training.plans import default_recipe

    options["data"] = data
    recipe = options["recipe"] or default_recipe("graph", data)
    configs = [_configure(data, recipe, options, seed) for seed in range(num_seeds)]
    first = configs[0]
    count = first.model.num_keypoints
    name = options["name"] or run_name(data_label(first.data.name), suffix=f"-k{count}")
    folder = options["out"] / "benchmark" / name
    if options["dry_run"]:
        seeds = ", ".join(str(config.training.seed) for config in configs)
        echo(f"# {folder}, seeds {seeds}", *to_yaml(first).splitlines())
        return
    root = Path(first.data.root) if first.data.root else None
    check_scorable(first.data.name, root=root)
    named = [GraphJob(f"seed{config.training.seed}", config) for config in configs]
    jobs = {job.key(options["max_minutes"]): job for job in named}
    claim_folder(folder, first, named, options, storage=storage)

    def score(graph: "AutoLink") -> tuple[str, float]:
        return published_score(graph, first.data.name, root=root, progress=progress_bar)

    divide_work(
        list(jobs),
        lambda key: train_and_score(jobs[key], folder, options, score),
        folder=folder,
        storage=storage,
        write=partial(_write, jobs, folder, data, common_settings(first, recipe, options["max_minutes"])),
    )
    echo(f"wrote {folder / 'table.md'}")


def _configure(data: str, recipe: str, options: dict[str, Any], number: int) -> "GraphRunConfig":
    from autolink_gen.config import GraphRunConfig, build
    from autolink_gen.recipes import merge, read_recipe

    entry = _entry(data)
    values = read_recipe("graph", recipe)
    if entry is not None:
        values = merge(values, dict(entry.settings))
        if entry.figures and entry.figures[0].num_keypoints:
            values = merge(values, {"model": {"num_keypoints": entry.figures[-1].num_keypoints}})
    choices = choices_of(options)
    values = merge(values, choices.given(model={"num_keypoints": options["num_keypoints"]}))
    values = merge(values, choices.settings or {})
    first = build(GraphRunConfig, values)
    return build(GraphRunConfig, merge(values, {"training": {"seed": first.training.seed + number}}))


def _entry(data: str) -> "PictureSet | None":
    from autolink_gen.data.published.sets import SETS, PictureSet

    entry = SETS.get(data)
    return entry if isinstance(entry, PictureSet) else None


def _write(
    jobs: Mapping[str, GraphJob], folder: Path, data: str, common: str, results: Mapping[str, Mapping[str, float]]
) -> str:
    """Write the table of the seeds that are done; the table."""
    from autolink_gen.common.files import write_text_atomically
    from autolink_gen.data.identity import public_data
    from autolink_gen.studies.ablations import benchmark_table

    count = next(iter(jobs.values())).config.model.num_keypoints
    found = {job.name: results[key] for key, job in jobs.items() if key in results}
    table = benchmark_table(public_data(data), count, found, _figure(data, count)) + f"\n{common}\n"
    write_text_atomically(folder / "table.md", table)
    return table


def _figure(data: str, count: int) -> "Figure | None":
    entry = _entry(data)
    figures = entry.figures if entry else ()
    return next((figure for figure in figures if figure.num_keypoints in (count, None)), None)
