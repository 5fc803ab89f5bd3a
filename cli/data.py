"""`autolink-gen data`: look at pictures and pack them, make frames of videos, and videos of puppets."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autolink_gen.cli.data_sets import info, prepare
from autolink_gen.cli.options import echo, overwrite_option
from autolink_gen.common.progress import progress_bar
from autolink_gen.common.text import counted, typed

if TYPE_CHECKING:
    from autolink_gen.data.check import FolderReport
    from autolink_gen.data.images import FIT

_SHOWN = 10


@click.group()
def data() -> None:
    """Look at pictures and data sets before training, pack them; make frames of videos, and videos of puppets."""


data.add_command(info)
data.add_command(prepare)


@data.command(short_help="Report what is in a folder of pictures and videos.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "json_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
              help="Also write the report, complete, as JSON.")  # fmt: skip
@click.option("--near-duplicates/--no-near-duplicates", default=True, show_default=True,
              help="Look for pictures that are nearly the same.")  # fmt: skip
@overwrite_option
def check(folder: Path, json_file: Path | None, near_duplicates: bool, overwrite: bool) -> None:
    """Report what is in a folder of pictures and videos: how many, how large, which are unreadable, which are alike.

    Every picture and every frame is decoded; nothing in DIR is changed. Ends with exit code 1 where one cannot be read.

    \b
    Example:
      autolink-gen data check ./my_pictures --json report.json
    """
    from autolink_gen.common.files import check_free, write_text_atomically
    from autolink_gen.data.check import inspect_folder

    if json_file is not None:
        check_free(json_file, overwrite=overwrite, option="--json")
    report = inspect_folder(folder, near_duplicates=near_duplicates, progress=progress_bar)
    for line in _lines(report):
        echo(line)
    if json_file is not None:
        write_text_atomically(json_file, json.dumps(asdict(report), indent=2, default=str) + "\n")
        echo(f"wrote {json_file}")
    if not report.num_readable and len(report.unreadable_videos) == len(report.videos):
        raise click.ClickException(f"none of what is in {folder} can be read; give other pictures or videos")
    if report.unreadable or report.unreadable_videos:
        then = "ends where so many cannot be read" if report.ends_training else "passes over a few such files"
        echo(f"remove, replace or shrink what is unreadable; training {then}")
        click.get_current_context().exit(1)


@data.command(short_help="Pack the pictures of a folder into shards (.tar).")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT.tar", type=click.Path(path_type=Path))
@click.option("--per-shard", type=click.IntRange(min=1),
              help="Make several shards, OUT-000000.tar and so on, of so many pictures each.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace OUT.tar, with --per-shard every OUT-NNNNNN.tar.")
def pack(folder: Path, target: Path, per_shard: int | None, overwrite: bool) -> None:
    """Pack the pictures below DIR, as they are, into shards in WebDataset's form: few large files for many small ones.

    Training commands take shards as --data, from disk or from a web server. Nothing in DIR is changed. Shards that
    hold these pictures already stay, others are replaced with --overwrite alone.

    \b
    Examples:
      autolink-gen data pack ./my_pictures my_pictures.tar
      autolink-gen data pack ./my_pictures my_pictures.tar --per-shard 10000
    """
    from autolink_gen.data.shards.writer import pack_pictures

    packed = pack_pictures(folder, target, per_shard=per_shard, overwrite=overwrite, progress=progress_bar)
    shards = "" if len(packed.files) == 1 else f"{len(packed.files)} shards, "
    size = f"{packed.num_bytes / 2**20:.1f} MiB"
    verb = "kept" if packed.were_there else "wrote"
    echo(f"{verb} {counted(packed.num_pictures, 'picture')} ({size}) in {shards}{packed.pattern}")
    if packed.unreadable:
        echo(f"left out {counted(len(packed.unreadable), 'picture')} that cannot be read:")
        for bad in packed.unreadable[:_SHOWN]:
            echo(f"  {bad.path}: {bad.reason}")
        if len(packed.unreadable) > _SHOWN:
            echo(f"  ... and {len(packed.unreadable) - _SHOWN} more (autolink-gen data check {typed(folder)})")
    echo(f"next: autolink-gen learn-graph --data {typed(packed.pattern)}")


@data.command("prepare-videos", short_help="Make small frames of videos, which training reads quickly.")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path, file_okay=False))
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
    from autolink_gen.data.video.prepare import prepare_videos as prepare

    count = processes or os.cpu_count() or 1
    try:
        found = prepare(
            source, target, size=size, fit=fit, fps=fps, processes=count, overwrite=overwrite, progress=progress_bar
        )
    except KeyboardInterrupt:
        echo("repeat the command to go on")
        raise
    broken = [clip for clip in found if clip.error]
    for title, clips in (
        ("wrote", [clip for clip in found if not clip.error and not clip.was_there]),
        ("kept", [clip for clip in found if clip.was_there]),
    ):
        if clips:
            frames = sum(clip.num_frames for clip in clips)
            echo(f"{title} {counted(frames, 'frame')} of {counted(len(clips), 'video')} in {target}")
    if broken:
        echo(f"{counted(len(broken), 'video')} could not be read:")
        for clip in broken:
            echo(f"  {clip.error}")
    if len(broken) == len(found):
        raise click.ClickException(f"none of the videos in {source} can be read; give others")


@data.command(short_help="Write videos of the embedded puppets.")
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path, file_okay=False))
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
    from autolink_gen.common.files import check_free
    from autolink_gen.data.video.clips import PuppetClip
    from autolink_gen.data.video.writer import VideoWriter

    files = [target / f"puppet-{index}.mp4" for index in range(clips)]
    check_free(*files, overwrite=overwrite, option="OUT")
    target.mkdir(parents=True, exist_ok=True)
    for index, file in enumerate(progress_bar(files, clips, "videos")):
        clip = PuppetClip(index, seed=0, size=size, split="test")
        with VideoWriter(file, fps=25) as writer:
            for _, pixels in clip.read(range(clip.count()), min_side=size):
                writer.write(pixels)
    echo(f"wrote {target}: {counted(clips, 'video')} of {clip.count()} frames")


def _lines(report: "FolderReport") -> list[str]:
    total = report.num_readable + len(report.unreadable)
    lines = [f"{report.folder}: {counted(total, 'picture')}" + (f" ({_counts(report.suffixes)})" if total else "")]
    if report.videos:
        lines[0] += f", {counted(len(report.videos), 'video')}"
    if report.widths and report.heights:
        for name, spread in (("width", report.widths), ("height", report.heights)):
            lines.append(f"{name:<16} {spread.smallest} / {spread.median:g} / {spread.largest} px (min/median/max)")
        lines.append(f"{'under 64 px':<16} {report.num_small}")
        lines.append(f"{'modes':<16} {_counts(report.modes)}")
    if report.other_files:
        lines.append(f"{'other files':<16} {_counts(report.other_files)}")
        lines += [f"  {count} {suffix} left out: {why}" for count, suffix, why in report.left_out]
    lines.append(f"{'unreadable':<16} {len(report.unreadable) + len(report.unreadable_videos)}")
    lines += [f"  {bad.path}: {bad.reason}" for bad in report.unreadable]
    lines += [f"  {bad.problem}" for bad in report.unreadable_videos]
    damaged = [video for video in report.videos if video.bad_frames and not video.problem]
    if damaged:
        lines.append(f"{'damaged frames':<16} {sum(video.bad_frames for video in damaged)}, which are passed over")
        lines += [f"  {one.path}: {one.bad_frames} of {one.bad_frames + one.num_frames}" for one in damaged]
    if report.near_duplicates is not None and total:
        spare = sum(len(group) - 1 for group in report.near_duplicates)
        groups = len(report.near_duplicates)
        lines.append(f"{'near-duplicates':<16} {counted(spare, 'picture')} like another ({counted(groups, 'group')})")
        lines += _first([_group(group) for group in report.near_duplicates])
    return lines


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _group(group: tuple[Path, ...]) -> str:
    first, *others = group
    names = [path.name if path.parent == first.parent else str(path) for path in others[:3]]
    return f"  {first} = {', '.join(names)}{', ...' if len(others) > 3 else ''}"


def _first(lines: list[str]) -> list[str]:
    rest = len(lines) - _SHOWN
    return lines[:_SHOWN] + ([f"  ... and {rest} more (--json FILE writes them all)"] if rest > 0 else [])
