"""``autolink-gen ablate``: the paper's ablations, by one process or by many."""

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import command
from autolink_gen.cli.options import TrainingOptions, echo, ended_by_signals, study_options, training_options
from autolink_gen.common.progress import progress_bar


@command()
@click.argument("what", type=click.Choice(["variants", "thickness", "masking"]))
@training_options()
@click.option("--num-keypoints", type=int, help="How many; not for thickness, which tries several.")
@study_options
def ablate(
    *, what: str, training: TrainingOptions, num_keypoints: int | None, num_seeds: int, storage: str | None
) -> None:
    """Train and score the graph learner with one thing changed at a time, and write the paper's table.

    variants: a fixed alpha, a learned thickness, a channel an edge, no edges; thickness: number of keypoints and
    thickness; masking: how much is masked, in how large blocks. --max-minutes is for each run. The images need
    landmarks; without --data the puppets are taken. Repeating the command goes on; started several times, also on
    several machines that see the same folder or --storage, the processes share the runs.

    \b
    Examples:
      autolink-gen ablate variants --data faces68 --recipe cpu --max-minutes 10
      autolink-gen ablate masking --steps 1000 --seeds 3
    """
    plan = verbs.plan_ablation(what, training.choices(), num_keypoints=num_keypoints, num_seeds=num_seeds)
    if training.dry_run:
        echo(*plan.lines())
        return
    launch = training.launch(plan.folder)
    with ended_by_signals():
        report = verbs.run_ablation(plan, launch, storage=storage, tell=echo, progress=progress_bar)
    echo(*report.table.splitlines(), *(f"wrote {file}" for file in report.files))
