"""``autolink-gen train-gan``: a learned graph and pictures in, a generator that paints on the graph out."""

from typing import TYPE_CHECKING, Any

import click

from autolink_gen.cli.cluster_choice import drop_options
from autolink_gen.cli.graph_choice import graph_wish, run_plan
from autolink_gen.cli.training_options import choices_of, training_options
from autolink_gen.common.text import typed

if TYPE_CHECKING:
    from torch import nn

    from autolink_gen.config import GanRunConfig


@click.command()
@training_options
@click.option("--graph", "graph_run", metavar="RUN",
              help="Graph run, by name or folder. [default: the newest one on this data, else the newest]")  # fmt: skip
@drop_options
@click.option("--classes", metavar="A,B", help="Take these class folders only, as cat,dog of afhq. [default: all]")
@click.option("--image-size", type=int, help="Pixels, the graph's own size. [default: that]")
@click.option("--batch-size", type=int, help="Pictures a step, over all devices.")
@click.option(
    "--gamma", type=float, help="Weight of the R1 penalty. [default: 0.2 at 64 pixels, 0.8 at 128, 3.2 at 256]"
)
@click.option("--augment", is_flag=True, help="Move, recolour and cover what the discriminator sees: for few pictures.")
def train_gan(**options: Any) -> None:
    """Train a GAN that paints new objects on the edge maps of a learned graph.

    Needs a run of learn-graph. Ends with grid.png in the run's folder, a row a style and a column a pose, and
    fd_vgg16.png, the distance to real pictures through training. Repeating the command goes on where it
    stopped.

    \b
    Examples:
      autolink-gen train-gan
      autolink-gen train-gan --data afhq --classes cat --data-root ~/data --max-minutes 90
      autolink-gen train-gan --data photos/ --graph photos-k8 --no-mirror --augment
    """
    from autolink_gen.training.gan import train_gan as train
    from autolink_gen.training.painting_plans import plan_gan

    classes = options["classes"] and tuple(name.strip() for name in options["classes"].split(","))
    chosen = {name: options[name] for name in ("image_size", "gamma")}
    run_plan(
        lambda: plan_gan(
            choices_of(options), graph_wish(options), classes=classes, augment=options["augment"] or None, **chosen
        ),
        options,
        train,
        networks=_networks,
        files={
            "grid.png": "above pictures with their graph, below a row a style on these poses",
            "fd_vgg16.png": "the distance to real pictures through training",
        },
        then=lambda folder: f"autolink-gen generate --model {typed(folder)} --grid rows=seeds,cols=poses",
    )


def _networks(config: "GanRunConfig") -> dict[str, "nn.Module"]:
    from autolink_gen.models.discriminator import Discriminator
    from autolink_gen.models.generator import Generator

    return {"generator": Generator(config.model), "discriminator": Discriminator(config.model)}
