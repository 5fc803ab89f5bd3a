"""``autolink-gen transfer``: one person's video, moved by another's."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import command, section
from autolink_gen.cli.options import (
    device_option,
    echo,
    model_option,
    note,
    overwrite_option,
    pick_device,
    smooth_option,
)
from autolink_gen.common.progress import progress_bar
from autolink_gen.common.text import counted

if TYPE_CHECKING:
    from autolink_gen.inference.smoothing import Smoothing
    from autolink_gen.inference.transfer import Transfer
    from autolink_gen.inference.transfer_files import Audio, TransferFiles
    from autolink_gen.inference.transfer_pairs import PairResult
    from autolink_gen.inference.transfer_video import TransferReport

_PATH = click.Path(path_type=Path)

_movement = section("Movement")
_look = section("Picture")
_video = section("Video")


@command()
@click.argument("source", type=_PATH, required=False)
@click.argument("driver", type=_PATH, required=False)
@click.option("--pairs", metavar="CSV", type=_PATH,
              help="Many at once: a table with the columns source, driver and, if you like, out. --out is then a "
              "folder. [default: transferred]")  # fmt: skip
@click.option("-o", "--out", metavar="FILE", type=_PATH,
              help="MP4, MOV, WebM, GIF or WebP, by the ending; without one, a folder of PNG; PNG or JPEG where "
              "the driver is an image. "
              "[default: SOURCE-DRIVER.mp4]")  # fmt: skip
@model_option("transfer")
@_video("--audio", type=click.Choice(["driver", "source", "none"]), default="driver", show_default=True,
              help="Whose audio to keep.")  # fmt: skip
@_movement("--relative/--absolute", default=None,
              help="Add the driver's movement to the source's pose, or take its pose. "
              "[default: relative; where the driver is an image its pose, as large as the source is]")  # fmt: skip
@_movement("--adapt-scale", is_flag=True, help="Make the movement as large as the source is.")
@_movement("--find-best-frame", is_flag=True,
              help="Start from the driver's frame most like the source, not the first with a clear pose.")  # fmt: skip
@smooth_option(_movement)
@_look("--crop", type=click.Choice(["auto", "none"]), default="auto", show_default=True,
              help="Crop source and driver to where the object is, found from its keypoints.")  # fmt: skip
@_look("--paste-back", is_flag=True, help="Put the painted square back into the source frame; not with --side-by-side.")
@_look("--side-by-side", is_flag=True, help="Show source, driver, edge map and result.")
@_movement("--source-frames", type=click.IntRange(min=1), default=8, show_default=True,
              help="Reference frames of a source video; each output frame takes the nearest in pose.")  # fmt: skip
@_video("--start", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Seconds into the driver.")
@_video("--end", type=click.FloatRange(min=0, min_open=True), help="Seconds into the driver. [default: its end]")
@_video("--fps", type=click.FloatRange(min=0, min_open=True),
              help="At most so many frames a second; of a folder of frames, its rate. "
              "[default: the driver's; 25 for a folder]")  # fmt: skip
@_look("--size", type=click.IntRange(16, 1024), help="Width of the result in pixels; videos have an even one. "
              "[default: 256 where the network moves the source itself, else its own]")  # fmt: skip
@overwrite_option
@click.option("--batch-size", type=click.IntRange(min=1),
              help="Frames at a time. [default: 8, or on a CUDA device by memory]")  # fmt: skip
@_video("--max-bad", type=click.FloatRange(0, 1, max_open=True), default=0.2, show_default=True,
              help="Share of the driver's frames that may be damaged.")  # fmt: skip
@device_option
def transfer(
    *,
    source: Path | None,
    driver: Path | None,
    pairs: Path | None,
    out: Path | None,
    run: str | None,
    audio: "Audio",
    relative: bool | None,
    adapt_scale: bool,
    find_best_frame: bool,
    smooth: "Smoothing | None",
    crop: str,
    paste_back: bool,
    side_by_side: bool,
    source_frames: int,
    start: float,
    end: float | None,
    fps: float | None,
    size: int | None,
    overwrite: bool,
    batch_size: int | None,
    max_bad: float,
    device: str | None,
) -> None:
    """Make what SOURCE shows do what DRIVER does.

    SOURCE is an image or a video, DRIVER a video, an image or a folder of frames. Rate and length are the
    driver's. Damaged frames are left out; frames in which no pose can be made out hold the last clear one. A file
    that is there already is replaced with --overwrite alone, a folder of frames must be new or empty.

    With --pairs each pair fails by itself, and a repeated command makes what is not there yet.

    \b
    Examples:
      autolink-gen transfer source.mp4 driver.mp4
      autolink-gen transfer face.jpg driver.mp4 -o out.gif --adapt-scale --find-best-frame --side-by-side
      autolink-gen transfer --pairs pairs.csv --out moved
    """
    opened: dict[str, Any] = {
        "audio": audio, "cut_s": (start, end), "fps": fps, "max_bad": max_bad, "overwrite": overwrite,
    }  # fmt: skip
    moved: dict[str, Any] = {
        "look": verbs.Look(crop == "auto", paste_back, side_by_side, size),
        "find_best_frame": find_best_frame,
        "source_frames": source_frames,
        "batch_size": batch_size,
        "progress": progress_bar,
    }

    def animate(network: "Transfer", files: "TransferFiles") -> "TransferReport":
        return files.animate(network, files.motion(relative, adapt_scale=adapt_scale, smooth=smooth), **moved)

    if pairs is not None:
        if source is not None:
            raise click.UsageError("--pairs names sources and drivers: leave SOURCE and DRIVER out")
        table = verbs.read_pairs(pairs, out=out or Path("transferred"))
        make = partial(animate, _load(run, device))
        results = verbs.animate_pairs(table, opened=opened, animate=make)
        _tell_pairs(results, len(table))
        return
    if source is None or driver is None:
        raise click.UsageError("give SOURCE and DRIVER, or a table of them with --pairs")
    files = verbs.TransferFiles.open(source, driver, out=out, **opened)
    _tell(animate(_load(run, device), files), files)


def _load(run: str | None, device: str | None) -> "Transfer":
    folder = verbs.RunFolder.find(run, kind="transfer")
    network = verbs.load_transfer(folder, device=pick_device(device))
    note(f"model: {folder}")
    return network


def _tell_pairs(results: "Iterator[PairResult]", count: int) -> None:
    """Print what became of each pair; exit code 1 where one failed."""
    num_failed = num_there = 0
    for result in results:
        problem = result.problem
        if result.files is not None and result.report is not None:
            try:
                _tell(result.report, result.files)
            except click.ClickException as error:  # the driver broke off
                problem = f"{result.pair.driver}: {error.message}"
        if problem:
            echo(f"failed: {problem}", err=True)
        num_there += result.was_there
        num_failed += bool(problem)
    if num_there:
        note(f"there already: {num_there} of {count} (--overwrite makes them anew)")
    if num_failed:
        echo(f"failed: {num_failed} of {count}, see above", err=True)
        click.get_current_context().exit(1)


def _tell(report: "TransferReport", files: "TransferFiles") -> None:
    """Print what was written and what was not; ClickException if the driver broke off."""
    for line in files.remarks(report):
        echo(line)
    frames = counted(report.num_frames, "frame")
    if report.stopped:
        echo(f"kept what was made until then: {files.out} ({frames})")
        raise click.ClickException(f"the result ends early: {report.stopped}")
    note(f"wrote {files.out} ({frames})")
