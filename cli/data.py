"""`autolink-gen data`: look at images and data sets, pack and prepare them."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import Group
from autolink_gen.cli.options import echo, naming_option, note, overwrite_option
from autolink_gen.common.progress import progress_bar
from autolink_gen.common.text import counted, typed

if TYPE_CHECKING:
    from autolink_gen.data.images import FIT

_PATH = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)
_ROOT = click.option("--data-root", type=_PATH, help="The folder where named data sets lie.")


@click.group(cls=Group)
def data() -> None:
    """Look at images and data sets before training, pack them; make frames of videos, and videos of puppets."""


@data.command(short_help="Report what is in a folder of images and videos.")
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option("--json", "json_file", metavar="FILE", type=_FILE,
              help="Also write the report, complete, as JSON.")  # fmt: skip
@click.option("--near-duplicates/--no-near-duplicates", default=True, show_default=True,
              help="Look for images that are nearly the same.")  # fmt: skip
@overwrite_option
def check(folder: Path, json_file: Path | None, near_duplicates: bool, overwrite: bool) -> None:
    """Report what is in a folder of images and videos: how many, how large, which are unreadable, which are alike.

    Every image and every frame is decoded; nothing in DIR is changed. Ends with exit code 1 where one cannot be read,
    or is cut short.

    \b
    Example:
      autolink-gen data check ./my_pictures --json report.json
    """
    if json_file is not None:
        verbs.check_free(json_file, overwrite=overwrite, option="--json")
    report = verbs.inspect_folder(folder, near_duplicates=near_duplicates, progress=progress_bar)
    echo(*report.lines())
    if json_file is not None:
        verbs.write_text_atomically(json_file, json.dumps(asdict(report), indent=2, default=str) + "\n")
        note(f"wrote {json_file}")
    if not report.num_readable and len(report.unreadable_videos) == len(report.videos):
        raise click.ClickException(f"none of what is in {folder} can be read; give other images or videos")
    if report.cut_videos:
        echo("copy or download again what is cut short; training uses its beginning")
    if report.unreadable or report.unreadable_videos:
        then = "ends where so many cannot be read" if report.ends_training else "passes over a few such files"
        echo(f"remove, replace or shrink what is unreadable; training {then}")
    if report.unreadable or report.unreadable_videos or report.cut_videos:
        click.get_current_context().exit(1)


@data.command(short_help="Pack the images of a folder into shards (.tar).")
@click.argument("folder", metavar="DIR", type=_PATH)
@click.argument("target", metavar="OUT.tar", type=_PATH)
@click.option("--per-shard", type=click.IntRange(min=1),
              help="Make several shards, OUT-000000.tar and so on, of so many images each.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace OUT.tar, with --per-shard every OUT-NNNNNN.tar.")
def pack(folder: Path, target: Path, per_shard: int | None, overwrite: bool) -> None:
    """Pack the images below DIR, as they are, into shards in WebDataset's form: few large files for many small ones.

    Training commands take shards as --data, from disk or from a web server. Nothing in DIR is changed. Shards that
    hold these images already stay, others are replaced with --overwrite alone.

    \b
    Examples:
      autolink-gen data pack ./my_pictures my_pictures.tar
      autolink-gen data pack ./my_pictures my_pictures.tar --per-shard 10000
    """
    packed = verbs.pack_pictures(folder, target, per_shard=per_shard, overwrite=overwrite, progress=progress_bar)
    note(*packed.lines(folder=folder))


@data.command("prepare-videos", short_help="Make small frames of videos, which training reads quickly.")
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("target", metavar="OUT", type=_FOLDER)
@click.option("--size", type=int, default=128, show_default=True, help="Width and height of the frames in pixels.")
@click.option("--fit", type=click.Choice(["crop", "pad", "stretch"]), default="crop", show_default=True,
              help="How a frame is made square.")  # fmt: skip
@click.option("--fps", type=float, help="Keep at most so many frames a second. [default: all]")
@click.option("--processes", type=click.IntRange(min=1), help="Processes at work. [default: one a core]")
@overwrite_option
def prepare_videos(
    source: Path, target: Path, size: int, fit: "FIT", fps: float | None, processes: int | None, overwrite: bool
) -> None:
    """Make a folder of small frames (JPEG) of every video below IN, at the same place below OUT.

    train-transfer and learn-graph take OUT as --data. Repeating the command goes on where it stopped; frames made
    otherwise, or of another video of that name, are replaced with --overwrite alone.

    \b
    Example:
      autolink-gen data prepare-videos ~/voxceleb2/dev/mp4 frames/ --size 128
    """
    count = processes or os.cpu_count() or 1
    try:
        reports = verbs.prepare_videos(
            source, target, size=size, fit=fit, fps=fps, processes=count, overwrite=overwrite, progress=progress_bar
        )
    except KeyboardInterrupt:
        note("repeat the command to go on")
        raise
    note(*verbs.report_lines(reports, target))
    if all(clip.error for clip in reports):
        raise click.ClickException(f"none of the videos in {source} can be read; give others")


@data.command(short_help="Write videos of the embedded puppets.")
@click.argument("target", metavar="OUT", type=_FOLDER)
@click.option("--clips", type=click.IntRange(1, 50), default=2, show_default=True, help="How many.")
@click.option("--size", type=click.IntRange(32, 512), default=256, show_default=True,
              help="Width and height in pixels.")  # fmt: skip
@overwrite_option
def puppets(target: Path, clips: int, size: int, overwrite: bool) -> None:
    """Write MP4 videos of moving puppets that training does not see, for trying transfer and detect.

    \b
    Example:
      autolink-gen data puppets puppets/
      autolink-gen transfer puppets/puppet-0.mp4 puppets/puppet-1.mp4 --side-by-side
    """
    frames = verbs.write_puppet_videos(target, count=clips, size=size, overwrite=overwrite, progress=progress_bar)
    note(f"wrote {target}: {counted(clips, 'video')} of {frames} frames")


@data.command(short_help="Say what a named data set is and how its files should lie.")
@click.argument("name", required=False)
@_ROOT
def info(name: str | None, data_root: Path | None) -> None:
    """Say what a data set is, where to get it, under what licence, and how its files should lie; or list all sets.

    \b
    Examples:
      autolink-gen data info
      autolink-gen data info celeba-wild --data-root ~/data
    """
    if name is None:
        echo(*verbs.list_sets())
        return
    with naming_option("NAME", ValueError):
        verbs.entry_of(name)
    echo(*verbs.describe_set(name, root=data_root))


@data.command(short_help="Make a published set ready, as the paper's protocol needs it.")
@click.argument("name")
@_ROOT
@click.option("--size", type=int, default=128, show_default=True, help="Width and height of the images in pixels.")
@click.option("--download", is_flag=True, help="Fetch the set first, where torchvision knows it.")
@overwrite_option
def prepare(name: str, data_root: Path | None, size: int, download: bool, overwrite: bool) -> None:
    """Make a published set ready: its parts by the published split, cut out and small, with tables of landmarks.

    Written to prepared/NAME in the data root; what is there is kept, so that repeating the command goes on. With
    another --size, --overwrite makes the images anew.

    \b
    Example:
      autolink-gen data prepare celeba-wild --data-root ~/data
    """
    with naming_option("NAME", ValueError):
        entry = verbs.entry_of(name)
    if not isinstance(entry, verbs.ImageSet) or not entry.layouts:
        raise click.UsageError(f"{name} needs no preparing: give it to --data as it is")
    base, _ = verbs.existing_root(name, data_root, make=download)
    if download:
        verbs.download_set(entry, base)
    try:
        splits = verbs.prepare_set(name, entry, base, size=size, overwrite=overwrite, progress=progress_bar)
    except KeyboardInterrupt:
        note("repeat the command to go on")
        raise
    for split in splits:
        echo(*split.lines(published=entry.counts.get(split.name)))
    trains = any(split.name == "train" for split in splits)
    command = "learn-graph" if trains else "evaluate"
    note(f"next: autolink-gen {command} --data {name} --data-root {typed(base)}")
