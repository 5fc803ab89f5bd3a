"""``autolink-gen train-gan``: a learned graph and images in, a generator that paints on the graph out."""

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
@click.option("--classes", metavar="A,B", help="Take these class folders only, as cat,dog of afhq. [default: all]")
@click.option("--image-size", type=int, help="Pixels, the graph's own size. [default: that]")
@click.option("--gamma", type=float,
              help="Weight of the R1 penalty. [default: 0.2 at 64 pixels, 0.8 at 128, 3.2 at 256]")  # fmt: skip
@click.option("--augment", is_flag=True, help="Move, recolour and cover what the discriminator sees: for few images.")
def train_gan(
    *,
    training: TrainingOptions,
    graph: str | None,
    dropped: "ClusterChoice | None",
    classes: str | None,
    image_size: int | None,
    gamma: float | None,
    augment: bool,
) -> None:
    """Train a GAN that paints new objects on the edge maps of a learned graph.

    Needs a run of learn-graph. Ends with grid.png in the run's folder, a row a style and a column a pose, and
    fd_vgg16.png, the distance to real images through training. Repeating the command goes on where it
    stopped.

    \b
    Examples:
      autolink-gen train-gan
      autolink-gen train-gan --data afhq --classes cat --data-root ~/data --max-minutes 90
      autolink-gen train-gan --data photos/ --graph photos-k8 --no-mirror --augment
    """
    wish = verbs.GraphRequest(graph, dropped, resume=training.resume, is_needed=not training.dry_run)
    train_plan(
        lambda: verbs.plan_gan(
            training.choices(),
            wish,
            image_size=image_size,
            classes=tuple(name.strip() for name in classes.split(",")) if classes else None,
            gamma=gamma,
            augment=augment or None,
        ),
        training,
        files={
            "grid.png": "above images with their graph, below a row a style on these poses",
            "fd_vgg16.png": "the distance to real images through training",
        },
        then=lambda folder: f"autolink-gen generate --model {typed(folder)} --grid rows=seeds,cols=poses",
    )
