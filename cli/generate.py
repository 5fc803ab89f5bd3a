"""`autolink-gen generate`: images painted by a trained GAN, on poses and in styles of the user's choice."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import command, section
from autolink_gen.cli.options import device_option, model_option, naming_option, note, overwrite_option, pick_device
from autolink_gen.common.progress import progress_bar

if TYPE_CHECKING:
    from autolink_gen.inference.paint_files import Between, Layout
    from autolink_gen.inference.styles import Styles

_LAYOUTS = ("rows=seeds,cols=poses", "rows=poses,cols=seeds")

_pose = section("Poses")
_style = section("Styles")
_kind = section("What is written")


@command()
@model_option("gan")
@_pose("--from", "sources", metavar="PATH", multiple=True, type=click.Path(path_type=Path),
              help="Pose: an image, a video, a keypoints.json or .csv; repeat it for several. "
              "[default: eight in training]")  # fmt: skip
@_style("--style", metavar="IMAGE|SEED|FILE",
        help="Style: a seed, an image to take it from, or a style.json that the studio saved.")  # fmt: skip
@_style("--seeds", metavar="0-15", help="Styles by their seeds. [default: 0-3]")
@_style("--mix-styles", "mix", metavar="3:7",
        help="Mix the styles of two seeds by layer: coarse layers of the first, fine ones of the second, at every cut; "
        "3:7@2 takes two layers of 3 alone.")  # fmt: skip
@_style("--steps", type=click.IntRange(min=1), default=300, show_default=True,
              help="Steps to find the style of an image.")  # fmt: skip
@_style("--trunc", type=click.FloatRange(min=0), default=1.0, show_default=True,
              help="Below 1: styles nearer to the mean one.")  # fmt: skip
@_kind("--interpolate", type=click.Choice(["style", "pose"]),
              help="Write a video through all styles on the first pose, or all poses in the first style.")  # fmt: skip
@_kind("--frames", type=click.IntRange(min=2), default=60, show_default=True, help="Length of that video.")
@_pose("--move", "moves", multiple=True, metavar="3:+0.1,-0.05",
              help="Move a keypoint by x, y; the image is 2 wide.")  # fmt: skip
@_pose("--swap", "swaps", multiple=True, metavar="2,5", help="Exchange the places of two keypoints.")
@_pose("--remove", "removed", multiple=True, type=int, metavar="4", help="Draw no edges to a keypoint.")
@_kind("--grid", type=click.Choice(_LAYOUTS), help="Write one image of them all, and no others.")
@click.option("--out", metavar="DIR|FILE", type=click.Path(path_type=Path), default="generated", show_default=True,
              help="Folder to write to, or the grid's or video's file: MP4, MOV, WebM, GIF or WebP.")  # fmt: skip
@overwrite_option
@device_option
def generate(
    *,
    run: str | None,
    sources: tuple[Path, ...],
    style: str | None,
    seeds: str | None,
    mix: str | None,
    steps: int,
    trunc: float,
    interpolate: "Between | None",
    frames: int,
    moves: tuple[str, ...],
    swaps: tuple[str, ...],
    removed: tuple[int, ...],
    grid: "Layout | None",
    out: Path,
    overwrite: bool,
    device: str | None,
) -> None:
    """Paint with a trained GAN: move the skeleton and keep the style, or the other way round.

    Without --from, on poses of the training images; a video is painted frame by frame. The numbers of the
    keypoints are those that view-graph shows. What is changed with --move, --swap and --remove stands beside the
    unchanged in the grid. Where a file to be written is there already, nothing is painted without --overwrite.

    \b
    Examples:
      autolink-gen generate --seeds 0-7 --grid rows=seeds,cols=poses
      autolink-gen generate --from cat.jpg --style 3 --move 2:+0.1,0
      autolink-gen generate --from cat.jpg --style other_cat.jpg
      autolink-gen generate --mix-styles 3:7 --grid rows=seeds,cols=poses
      autolink-gen generate --interpolate pose --style 5 --out moving.webp
    """
    styles = _styles(style, seeds, mix, steps=steps, truncation=trunc)
    folder = verbs.RunFolder.find(run, kind="gan")
    gan = verbs.load_gan(folder, device=pick_device(device))
    count = gan.graph.config.num_keypoints
    note(f"model: {folder}, {count} keypoints{verbs.without_text(gan.graph)}")
    report = verbs.paint_files(
        gan,
        styles,
        poses=sources,
        edits=verbs.parse_edits(moves=moves, swaps=swaps, removed=removed, num_keypoints=count),
        grid=grid,
        interpolate=interpolate,
        frames=frames,
        out=out,
        overwrite=overwrite,
        progress=progress_bar,
    )
    note(*report.lines)


def _styles(style: str | None, seeds: str | None, mix: str | None, *, steps: int, truncation: float) -> "Styles":
    """The styles of --seeds, of --style, a seed or an image, or of --mix-styles."""
    if sum(option is not None for option in (style, seeds, mix)) > 1:
        raise click.UsageError("give --style, --seeds or --mix-styles: one of them")
    if mix is not None:
        with naming_option("--mix-styles", ValueError):
            return verbs.Styles((), None, steps, truncation, verbs.parse_mix(mix))
    if style is not None and not style.isdigit():
        return verbs.Styles((), Path(style), steps, truncation)
    text = seeds if seeds is not None else style
    return verbs.Styles(tuple(verbs.parse_seeds(text if text is not None else "0-3")), None, steps, truncation)
