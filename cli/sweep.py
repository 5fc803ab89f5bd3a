"""``autolink-gen sweep``: several values of settings, trained, scored and compared."""

from dataclasses import replace
from typing import Literal

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import command
from autolink_gen.cli.options import TrainingOptions, echo, ended_by_signals, study_options, training_options
from autolink_gen.common.progress import progress_bar


@command()
@training_options()
@study_options
@click.option("--sampler", type=click.Choice(["grid", "tpe"]),
              help="grid: all combinations of the values; tpe: draw --trials of them. "
              "[default: tpe where there is a range, else grid]")  # fmt: skip
@click.option("--trials", type=int, metavar="N", help="How many settings tpe tries.")
def sweep(
    *,
    training: TrainingOptions,
    num_seeds: int,
    storage: str | None,
    sampler: Literal["grid", "tpe"] | None,
    trials: int | None,
) -> None:
    """Train the graph learner with several values of settings, score each, and say which is best.

    --set takes a list, as optimiser.lr=1e-4,1e-3, or a range, as optimiser.lr=1e-5..1e-2, which is searched on a
    logarithmic scale where it spans a factor of 100 or more; a value that is a list itself needs brackets. A --set
    with one value holds for all trials. The score is ablate's, the lower the better: the images need landmarks;
    without --data the puppets are taken. Repeating the command goes on; started several times, the processes share
    the trials. Needs Optuna: pip install 'autolink-gen[ablate]'.

    \b
    Examples:
      autolink-gen sweep --set optimiser.lr=1e-4,1e-3 --set edges.dropout=0,0.3 --steps 500 --seeds 2
      autolink-gen sweep --data faces68 --recipe cpu --set optimiser.lr=1e-5..1e-2 --trials 20
    """
    fixed, axes = verbs.split_settings(training.settings)
    choices = replace(replace(training, settings=()).choices(), settings=fixed)
    plan = verbs.plan_sweep(choices, axes, num_seeds=num_seeds, sampler=sampler, trials=trials)
    if training.dry_run:
        echo(*plan.lines())
        return
    with ended_by_signals():
        report = verbs.run_sweep(plan, training.launch(plan.folder), storage=storage, tell=echo, progress=progress_bar)
    echo(*report.table.splitlines(), *(f"wrote {file}" for file in report.files))
    if report.best is not None:
        echo(f"best: {report.best.trial}, trained in {report.best.folders[0]}", f"next: {report.command}")
