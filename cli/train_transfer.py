"""``autolink-gen train-transfer``: a learned graph and videos in, a network that moves one with another out."""

from typing import TYPE_CHECKING, Any

import click

from autolink_gen.cli.cluster_choice import drop_options
from autolink_gen.cli.graph_choice import graph_wish, run_plan
from autolink_gen.cli.training_options import choices_of, training_options
from autolink_gen.common.text import typed

if TYPE_CHECKING:
    from torch import nn

    from autolink_gen.config import TransferRunConfig


@click.command()
@training_options
@click.option("--graph", "graph_run", metavar="RUN",
              help="Graph run, by name or folder. [default: the newest one on this data, else the newest]")  # fmt: skip
@drop_options
@click.option("--image-size", type=int, help="Pixels, the graph's own size. [default: that]")
@click.option("--batch-size", type=int, help="Pairs of frames a step, over all devices.")
def train_transfer(**options: Any) -> None:
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
    from autolink_gen.training.painting_plans import plan_transfer
    from autolink_gen.training.transfer import train_transfer as train

    run_plan(
        lambda: plan_transfer(choices_of(options), graph_wish(options), image_size=options["image_size"]),
        options,
        train,
        networks=_networks,
        files={
            "grid.png": "sources, frames with their graph, those painted; another's frames, and those painted",
            "l1.png": "the error through training, on held-out clips where there are some",
        },
        then=lambda folder: f"autolink-gen transfer SOURCE DRIVER --model {typed(folder)}",
    )


def _networks(config: "TransferRunConfig") -> dict[str, "nn.Module"]:
    from autolink_gen.models.transfer import TransferNetwork

    return {"network": TransferNetwork(config.model)}
