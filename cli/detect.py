"""`autolink-gen detect`: keypoints of pictures and videos, as pictures and as numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolink_gen.cli.cluster_choice import (
    ClusterChoice,
    cluster_choice,
    drop_options,
    left_out,
    without_clusters,
    without_text,
)
from autolink_gen.cli.shared import counted, echo, overwrite_option, pick_device

if TYPE_CHECKING:
    from autolink_gen.inference.detect_files import FileDetector
    from autolink_gen.inference.keypoint_files import KeypointFiles
    from autolink_gen.inference.sources import Source
    from autolink_gen.landmark_regressor import LandmarkRegressor
    from autolink_gen.models.autolink import AutoLink


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
    from autolink_gen.checkpoints import find_run
    from autolink_gen.inference.sources import find_sources

    choice = cluster_choice(clusters, dropped_clusters)
    sources = find_sources(paths, out=out)
    _check_free(sources, out, overlays=overlays, overwrite=overwrite)
    found_run = find_run("graph", run)
    model, regressor = _loaded(found_run, choice, regressor_file, device=pick_device(device))
    newest = "" if run else ", the newest run"
    echo(f"model: {found_run} ({model.config.num_keypoints} keypoints){newest}{without_text(model, choice)}")
    detector = _file_detector(model, str(found_run), out, regressor=regressor, overlays=overlays, **looks)
    _detect_all(detector, sources)
    _report(detector, num_sources=len(sources))


def _file_detector(
    model: "AutoLink",
    model_name: str,
    out: Path,
    *,
    regressor: "LandmarkRegressor | None",
    overlays: bool,
    edges: bool,
    threshold: float,
    batch_size: int,
    fps: float | None,
) -> "FileDetector":
    """What looks at each file, draws on it and writes the tables."""
    from autolink_gen.inference.detect_files import FileDetector
    from autolink_gen.inference.keypoint_files import KeypointFiles

    dropped = left_out(model)
    weights = model.edge_weights.detach().cpu().numpy()
    names = () if regressor is None else regressor.names
    tables = KeypointFiles(out, model_name=model_name, edge_weights=weights, dropped=dropped, landmark_names=names)
    return FileDetector(
        model,
        tables,
        regressor=regressor,
        dropped=dropped,
        out=out if overlays else None,
        edge_weights=weights if edges else None,
        threshold=threshold,
        batch_size=batch_size,
        fps=fps,
        model_name=model_name,
    )


def _check_free(sources: "list[Source]", out: Path, *, overlays: bool, overwrite: bool) -> None:
    """ValueError where a table or an overlay is there already."""
    from autolink_gen.files import check_free
    from autolink_gen.inference.keypoint_files import table_paths

    drawn = [out / source.overlay for source in sources] if overlays else []
    check_free(*table_paths(out), *drawn, overwrite=overwrite)


def _loaded(
    run: Path, choice: ClusterChoice | None, regressor_file: Path | None, *, device: str
) -> tuple["AutoLink", "LandmarkRegressor | None"]:
    """The graph without the clusters that are left out, and the regressor, which was fitted on the whole graph."""
    from autolink_gen.checkpoints import load_graph_model

    whole = load_graph_model(run)
    model = without_clusters(whole, choice)  # on the CPU, as elsewhere: the clusters must be the same
    regressor = None if regressor_file is None else _regressor(regressor_file, whole.to(device), run=run)
    return model.to(device).prepare_for_inference(), regressor


def _regressor(file: Path, model: "AutoLink", *, run: Path) -> "LandmarkRegressor":
    from autolink_gen.landmark_regressor import LandmarkRegressor

    regressor = LandmarkRegressor.load(file)
    regressor.check_graph(model.edge_weights, run=str(run))
    return regressor


def _detect_all(detector: "FileDetector", sources: "list[Source]") -> None:
    """Go through the files under a progress bar, and say what is kept where something ends that early."""
    from tqdm import tqdm

    tables = detector.tables
    try:
        with tables:
            total = detector.open(sources)
            with tqdm(total=total, unit="picture", desc="detect", leave=False, disable=None) as bar:
                detector.detect(bar.update)
            _report_skipped(tables, num_sources=len(sources))
    except BaseException:
        if tables.num_kept:
            echo(f"kept: {' and '.join(map(str, tables.paths))}, {counted(tables.num_kept, 'record')} of whole files")
        raise


def _report_skipped(tables: "KeypointFiles", *, num_sources: int) -> None:
    """Name the files that could not be read; ClickException where none could."""
    for _, reason in tables.skipped:
        echo(f"skipped: {reason}", err=True)
    if not tables.num_records:
        raise click.ClickException(f"none of the {num_sources} files could be read; nothing was written")


def _report(detector: "FileDetector", *, num_sources: int) -> None:
    tables = detector.tables
    if detector.out is not None:
        echo(f"wrote {counted(detector.num_overlays, 'overlay')} below {detector.out}")
    for file in tables.paths:
        echo(f"wrote {file} ({counted(tables.num_records, 'record')})")
    if tables.skipped:
        echo(f"skipped {len(tables.skipped)} of {num_sources} files, see above")
