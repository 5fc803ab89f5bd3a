"""``autolink-gen benchmark``: a set's own protocol over several seeds, beside what was published."""

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import command
from autolink_gen.cli.options import TrainingOptions, echo, ended_by_signals, study_options, training_options
from autolink_gen.common.progress import progress_bar


@command()
@click.argument("data")
@training_options(data=False)
@click.option("--num-keypoints", type=int, help="How many. [default: the paper's for this set]")
@study_options
def benchmark(*, training: TrainingOptions, num_keypoints: int | None, num_seeds: int, storage: str | None) -> None:
    """Train a graph on DATA, score it by the set's own protocol, over several seeds, and print the paper's table.

    Named sets bring the settings of the published runs, over those of the recipe; --set changes any of them.
    Repeating the command goes on; started several times, the processes share the runs.

    \b
    Examples:
      autolink-gen benchmark celeba-wild --num-keypoints 8 --seeds 10
      autolink-gen benchmark faces68 --recipe cpu --steps 1200 --seeds 3
    """
    plan = verbs.plan_benchmark(training.choices(), num_keypoints=num_keypoints, num_seeds=num_seeds)
    if training.dry_run:
        echo(*plan.lines())
        return
    launch = training.launch(plan.folder)
    with ended_by_signals():
        report = verbs.run_benchmark(plan, launch, storage=storage, tell=echo, progress=progress_bar)
    echo(*report.table.splitlines(), *(f"wrote {file}" for file in report.files))
