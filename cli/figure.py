"""``autolink-gen figure``: figures as the paper has them."""

from pathlib import Path

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import Group
from autolink_gen.cli.options import device_option, echo, overwrite_option, pick_device
from autolink_gen.cli.types import Seed

_PATH = click.Path(path_type=Path)


@click.group(cls=Group)
def figure() -> None:
    """Draw figures as the paper has them."""


@figure.command()
@click.argument("run", required=False)
@click.option("--data", help="A named data set or a folder of images. [default: those trained on, held-out ones]")
@click.option("--data-root", type=_PATH, help="The folder where named data sets lie.")
@click.option("--rows", type=click.IntRange(min=1), default=7, show_default=True, help="Rows of images.")
@click.option("--cols", type=click.IntRange(min=1), default=15, show_default=True, help="Images in a row.")
@click.option("--size", type=click.IntRange(32, 512), default=128, show_default=True, help="Width of one in pixels.")
@click.option("--sigma2", type=click.FloatRange(min=0, min_open=True), default=5e-4, show_default=True,
              help="Squared thickness of the edges drawn.")  # fmt: skip
@click.option("--offset", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Added to each weight once divided by the largest; the paper has 0.01 for DeepFashion.")  # fmt: skip
@click.option("--points/--no-points", default=True, show_default=True, help="Draw the keypoints too.")
@click.option("--seed", type=Seed(signed=False), default=0, show_default=True, help="Which images are drawn at random.")
@click.option("--out", "-o", type=click.Path(path_type=Path, dir_okay=False),
              help="PNG or JPEG to write. [default: figure.png in the run's folder]")  # fmt: skip
@overwrite_option
@device_option
def grid(
    *,
    run: str | None,
    data: str | None,
    data_root: Path | None,
    rows: int,
    cols: int,
    size: int,
    sigma2: float,
    offset: float,
    points: bool,
    seed: int,
    out: Path | None,
    overwrite: bool,
    device: str | None,
) -> None:
    """Draw a learned graph on images chosen at random, as in the paper's Figures 9 to 21.

    Weights are divided by the largest and drawn thinly. RUN is a run's name or folder, or its weights; without it the
    newest run is taken.

    \b
    Example:
      autolink-gen figure grid faces --rows 7 --cols 15
    """
    report = verbs.draw_grid(
        run,
        data=data,
        data_root=data_root,
        rows=rows,
        cols=cols,
        look=verbs.GridLook(size, sigma2, offset, points),
        seed=seed,
        out=out,
        overwrite=overwrite,
        device=pick_device(device),
    )
    echo(*str(report).split("\n"))
