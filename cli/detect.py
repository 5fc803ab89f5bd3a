"""`autolink-gen detect`: keypoints of images and videos, as images and as numbers."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import command
from autolink_gen.cli.options import (
    device_option,
    drop_options,
    echo,
    model_option,
    naming_option,
    note,
    overwrite_option,
    pick_device,
    smooth_option,
)
from autolink_gen.cli.types import FormatNames
from autolink_gen.common.progress import progress_bar
from autolink_gen.common.text import counted

if TYPE_CHECKING:
    from autolink_gen.clusters import ClusterChoice
    from autolink_gen.inference.detect_files import DetectionReport
    from autolink_gen.inference.smoothing import Smoothing


@command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@model_option("graph")
@click.option("--regressor", "regressor_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
              help="Also find named landmarks, with the map that evaluate wrote.")  # fmt: skip
@drop_options
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), default="detections",
              show_default=True, help="Folder to write to.")  # fmt: skip
@overwrite_option
@click.option("--edges/--no-edges", default=True, show_default=True, help="Draw the edges too.")
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="Draw edges whose weight is at least this share of the largest.")  # fmt: skip
@click.option("--overlays/--no-overlays", default=True, show_default=True, help="Draw images and videos.")
@click.option("--batch-size", type=click.IntRange(1),
              help="Images to detect at a time. [default: 16, or on a CUDA device by memory]")  # fmt: skip
@click.option("--format", "formats", metavar="NAME,...", type=FormatNames(),
              help="Of csv, json, coco, dlc, sleap, nwb: a file a video in each. "
              "[default: two tables of all files]")  # fmt: skip
@click.option("--min-likelihood", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Leave points empty that are less likely than that.")  # fmt: skip
@smooth_option()
@device_option
@click.option("--fps", type=click.FloatRange(0, min_open=True),
              help="Look at no more than this many frames a second of a video. [default: all]")  # fmt: skip
def detect(
    *,
    paths: tuple[Path, ...],
    run: str | None,
    regressor_file: Path | None,
    dropped: "ClusterChoice | None",
    out: Path,
    overwrite: bool,
    edges: bool,
    threshold: float,
    overlays: bool,
    batch_size: int | None,
    device: str | None,
    fps: float | None,
    formats: tuple[str, ...] | None,
    min_likelihood: float,
    smooth: "Smoothing | None",
) -> None:
    """Find the keypoints in images and videos.

    PATH is an image, a video, or a folder of them, nested or not. Written to --out: each image (PNG) and
    video (MP4, with its audio) with the keypoints and edges drawn on it, and keypoints.csv and
    keypoints.json, in pixels of the original, (0, 0) being the centre of its first pixel. The columns are
    file, frame, time_s, width_px, height_px, x0_px, y0_px, x1_px, ...; the JSON also holds the edges with
    their weights. Files that cannot be read are skipped and reported. The tables are written while files
    are finished: where the work is stopped, they hold those that were. Where a file to be written is there
    already, nothing is done without --overwrite.

    With --format there is a file a video in each format, named as the video is, and one of all images: .csv
    and .json with likelihoods, .coco.json, .dlc.csv for DeepLabCut, .slp for SLEAP, .nwb. Each is written
    when its video is done, or all images are; until then keypoints.unfinished.jsonl keeps the points of
    images. Files that are there are kept, and a repeated command goes on with the videos and images that
    are not done yet; --overwrite does all of them anew. .slp and .nwb need the extra pose.

    Keypoints left out with --drop-cluster are not drawn, have no columns and no edges, and are null in the
    JSON; the others keep their numbers. A regressor still looks at all of them, as it was fitted on all.

    \b
    Examples:
      autolink-gen detect my_pictures film.mp4 --out found --threshold 0.2
      autolink-gen detect my_videos --format dlc,coco --min-likelihood 0.5 --no-overlays
      autolink-gen detect my_pictures --clusters 2 --drop-cluster 1
      autolink-gen detect my_pictures --regressor runs/graph/faces/evaluation/faces68-regressor.json
    """
    sources = verbs.sources_of(paths, out=out, overlays=overlays, overwrite=overwrite, formats=formats or ())
    poses = verbs.PoseOptions(formats or (), min_likelihood, smooth, overwrite)
    with naming_option("--drop-cluster", verbs.ClusterError):
        opened = verbs.open_graph(run, dropped=dropped, regressor_file=regressor_file, device=pick_device(device))
    note(opened.text)
    report = verbs.detect_sources(
        opened.graph,
        sources,
        out=out,
        regressor=opened.regressor,
        overlays=overlays,
        edges=edges,
        threshold=threshold,
        batch_size=batch_size,
        fps=fps,
        poses=poses,
        model_name=opened.name,
        progress=progress_bar,
    )
    _tell(report, out, overlays=overlays, formats=formats)


def _tell(report: "DetectionReport", out: Path, *, overlays: bool, formats: tuple[str, ...] | None) -> None:
    for _, reason in report.skipped:
        echo(f"skipped: {reason}", err=True)
    if overlays:
        note(f"wrote {counted(report.num_overlays, 'overlay')} below {out}")
    if report.finished:
        done = counted(len(report.finished), "file")
        note(f"done before: {done} of {report.num_files}, nothing was written of them (--overwrite does them anew)")
    if report.resumed:
        note(f"taken up: the points of {counted(len(report.resumed), 'image')} that a command before had looked at")
    records = counted(report.num_records, "record")
    for file in report.tables:
        note(f"wrote {file}" if formats else f"wrote {file} ({records})")
    if formats:
        note(f"{records} in {counted(len(report.tables), 'pose file')}")
    if report.skipped:
        echo(f"skipped {len(report.skipped)} of {report.num_files} files, see above")
