"""``autolink-gen train-transfer``: a learned graph and videos in, a network that moves one with another out."""

from typing import TYPE_CHECKING

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import command
from autolink_gen.cli.options import TrainingOptions, drop_options, graph_option, train_plan, training_options
from autolink_gen.common.text import typed

if TYPE_CHECKING:
    from autolink_gen.clusters import ClusterChoice


@command()
@training_options()
@graph_option
@drop_options
@click.option("--image-size", type=int, help="Pixels, the graph's own size. [default: that]")
def train_transfer(
    *, training: TrainingOptions, graph: str | None, dropped: "ClusterChoice | None", image_size: int | None
) -> None:
    """Train a network that paints one video's motion with another's appearance.

    --data is a folder of videos, of folders of frames (as data prepare-videos makes them), or a named set. Needs a
    run of learn-graph. Ends with grid.png in the run's folder and l1.png, the error on held-out clips through
    training. Repeating the command goes on where it stopped.

    \b
    Examples:
      autolink-gen train-transfer
      autolink-gen train-transfer --data voxceleb2 --data-root ~/data --max-minutes 90
      autolink-gen train-transfer --data clips/ --graph clips-k16
    """
    wish = verbs.GraphRequest(graph, dropped, resume=training.resume, is_needed=not training.dry_run)
    train_plan(
        lambda: verbs.plan_transfer(training.choices(), wish, image_size=image_size),
        training,
        files={
            "grid.png": "sources, frames with their graph, those painted; another's frames, and those painted",
            "l1.png": "the error through training, on held-out clips where there are some",
        },
        then=lambda folder: f"autolink-gen transfer SOURCE DRIVER --model {typed(folder)}",
    )
