"""`autolink-gen detect`: keypoints of pictures and videos, as pictures and as numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolink_gen.cli.cluster_choice import cluster_choice, drop_options, left_of
from autolink_gen.cli.shared import echo, overwrite_option, pick_device
from autolink_gen.common.progress import progress_bar
from autolink_gen.common.text import counted

if TYPE_CHECKING:
    from autolink_gen.clusters import ClusterChoice
    from autolink_gen.inference.detect_files import DetectionReport
    from autolink_gen.inference.landmark_regressor import LandmarkRegressor
    from autolink_gen.models.autolink import AutoLink
    from autolink_gen.runs import RunFolder


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", "run", metavar="RUN", help="Run, by name or folder, or its model.safetensors. "
              "[default: the newest run in runs/graph]")  # fmt: skip
@click.option("--regressor", "regressor_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
              help="Also find named landmarks, with the map that evaluate wrote.")  # fmt: skip
@drop_options
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), default="detections",
              show_default=True, help="Folder to write to.")  # fmt: skip
@overwrite_option
@click.option("--edges/--no-edges", default=True, show_default=True, help="Draw the edges too.")
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="Draw edges whose weight is at least this share of the largest.")  # fmt: skip
@click.option("--overlays/--no-overlays", default=True, show_default=True, help="Draw pictures and videos.")
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True,
              help="Pictures to detect at a time.")  # fmt: skip
@click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1 ... [default: cuda where there is one]")
@click.option("--fps", type=click.FloatRange(0, min_open=True),
              help="Look at no more than this many frames a second of a video. [default: all]")  # fmt: skip
def detect(
    *,
    paths: tuple[Path, ...],
    run: str | None,
    regressor_file: Path | None,
    clusters: int | None,
    dropped_clusters: tuple[int, ...],
    out: Path,
    overwrite: bool,
    overlays: bool,
    device: str | None,
    **looks: Any,
) -> None:
    """Find the keypoints in pictures and videos.

    PATH is a picture, a video, or a folder of them, nested or not. Written to --out: each picture (PNG) and
    video (MP4, with its sound) with the keypoints and edges drawn on it, and keypoints.csv and
    keypoints.json, in pixels of the original, (0, 0) being the centre of its first pixel. The columns are
    file, frame, time_s, width_px, height_px, x0_px, y0_px, x1_px, ...; the JSON also holds the edges with
    their weights. Files that cannot be read are skipped and reported. The tables are written while files
    are finished: where the work is stopped, they hold those that were. Where a file to be written is there
    already, nothing is done without --overwrite.

    Keypoints left out with --drop-cluster are not drawn, have no columns and no edges, and are null in the
    JSON; the others keep their numbers. A regressor still looks at all of them, as it was fitted on all.

    \b
    Examples:
      autolink-gen detect my_pictures film.mp4 --out found --threshold 0.2
      autolink-gen detect my_pictures --clusters 2 --drop-cluster 1
      autolink-gen detect my_pictures --regressor runs/graph/faces/evaluation/faces68-regressor.json
    """
    from autolink_gen.clusters import without_text
    from autolink_gen.inference.detect_files import detect_sources, sources_of
    from autolink_gen.runs import RunFolder

    choice = cluster_choice(clusters, dropped_clusters)
    sources = sources_of(paths, out=out, overlays=overlays, overwrite=overwrite)
    found_run = RunFolder.find(run, kind="graph")
    graph, regressor = _loaded(found_run, choice, regressor_file, device=pick_device(device))
    echo(f"model: {found_run}, {graph.config.num_keypoints} keypoints{without_text(graph, choice)}")
    name = str(found_run.path)
    report = detect_sources(
        graph, sources, out=out, regressor=regressor, overlays=overlays, model_name=name, progress=progress_bar, **looks
    )
    _say(report, out, overlays=overlays)


def _loaded(
    run: "RunFolder", choice: "ClusterChoice | None", regressor_file: Path | None, *, device: str
) -> tuple["AutoLink", "LandmarkRegressor | None"]:
    """The graph without the clusters that are left out, and the regressor, which was fitted on the whole graph."""
    from autolink_gen.checkpoints import load_graph_model

    whole = load_graph_model(run)
    model = left_of(whole, choice)  # on the CPU, as elsewhere: the clusters must be the same
    regressor = None if regressor_file is None else _regressor(regressor_file, whole.to(device), run=run)
    return model.to(device).prepare_for_inference(), regressor


def _regressor(file: Path, model: "AutoLink", *, run: "RunFolder") -> "LandmarkRegressor":
    from autolink_gen.inference.landmark_regressor import LandmarkRegressor

    regressor = LandmarkRegressor.load(file)
    regressor.check_graph(model.edge_weights, run=str(run.path))
    return regressor


def _say(report: "DetectionReport", out: Path, *, overlays: bool) -> None:
    for _, reason in report.skipped:
        echo(f"skipped: {reason}", err=True)
    if overlays:
        echo(f"wrote {counted(report.num_overlays, 'overlay')} below {out}")
    for file in report.tables:
        echo(f"wrote {file} ({counted(report.num_records, 'record')})")
    if report.skipped:
        echo(f"skipped {len(report.skipped)} of {report.num_files} files, see above")
