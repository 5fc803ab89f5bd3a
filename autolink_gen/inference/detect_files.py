"""Detect keypoints in files: images, videos and folders of them become overlays and tables."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autolink_gen.checkpoints import load_graph_model
from autolink_gen.clusters import ClusterChoice, without_clusters, without_text
from autolink_gen.common.devices import chosen_device
from autolink_gen.common.files import check_free
from autolink_gen.common.progress import Progress, progress_bar
from autolink_gen.common.text import counted
from autolink_gen.inference.file_detector import FileDetector
from autolink_gen.inference.keypoint_files import KeypointFiles, table_paths
from autolink_gen.inference.landmark_regressor import LandmarkRegressor
from autolink_gen.inference.pose_files import PoseFiles, pose_paths
from autolink_gen.inference.pose_formats import check_formats
from autolink_gen.inference.pose_journal import journal_path
from autolink_gen.inference.pose_tables import Skeleton
from autolink_gen.inference.smoothing import Smoothing
from autolink_gen.inference.sources import InputFile, find_sources
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.keypoints import unlinked_keypoints
from autolink_gen.ops.likelihood import UNCALIBRATED, LikelihoodMap
from autolink_gen.runs import RunFolder

logger = logging.getLogger(__name__)
_MAX_KEPT = 3  # files in the message on what an early end leaves
_MAX_REASONS = 5  # reasons in the message when no file could be read


@dataclass(frozen=True)
class DetectionReport:
    """What `detect_files` wrote, and the files it skipped, with the reasons.

    ``finished`` are files whose poses were there already, so that nothing was done on them, and ``resumed`` images
    whose points were taken from what an earlier command had left when it was stopped.
    """

    tables: tuple[Path, ...]
    num_records: int
    num_overlays: int
    num_files: int
    skipped: tuple[tuple[Path, str], ...]
    finished: tuple[Path, ...] = ()
    resumed: tuple[Path, ...] = ()


@dataclass(frozen=True)
class PoseOptions:
    """How points are treated and written.

    ``formats``: names in `FORMATS`, a file a video each; empty: the two tables of all files. Points less likely than
    ``min_likelihood`` are left empty. ``smooth``: how those of videos are smoothed over time.
    """

    formats: tuple[str, ...] = ()
    min_likelihood: float = 0.0
    smooth: Smoothing | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.min_likelihood <= 1:
            raise ValueError(f"min_likelihood is {self.min_likelihood}; a likelihood lies from 0 to 1")


def detect_files(
    graph: AutoLink | str | os.PathLike[str],
    paths: Sequence[str | Path] | str | Path,
    *,
    out: str | Path = "detections",
    regressor: LandmarkRegressor | str | os.PathLike[str] | None = None,
    overlays: bool = True,
    edges: bool = True,
    threshold: float = 0.1,
    batch_size: int | None = None,
    fps: float | None = None,
    formats: Sequence[str] = (),
    min_likelihood: float = 0.0,
    smooth: Smoothing | str | bool | None = None,
    device: str | None = None,
    overwrite: bool = False,
    progress: Progress = progress_bar,
) -> DetectionReport:
    """Detect keypoints in images, videos and folders, and write overlays and tables to the folder `out`.

    `graph` is a model, or a run by name, folder or file, whose model goes to the `device`: CUDA if there is one.

    `keypoints.csv` and `keypoints.json` hold pixels of the original, (0, 0) being the centre of its first pixel. With
    `overlays`, each image becomes a PNG and each video an MP4 with its audio, with keypoints drawn on it, and with
    `edges` those edges whose weight is at least `threshold` of the largest. `fps` limits the frames a second of videos.
    `batch_size` images are looked at at a time; None: as many as `detect_images` finds fit.
    With `formats`, of csv, json, coco, dlc, sleap and nwb, there is a file a video in each of them in the place of the
    two tables, written when that video is done, and one of all images; what is there is kept, and a video that has all
    its files is not looked at again, nor an image that a stopped command has looked at. Points less likely than
    `min_likelihood` are left empty. With `smooth`, those of videos are smoothed: by "one-euro", which True means too,
    by "median", or by "median:9", over so many frames.
    `regressor`, or its file, also finds named landmarks. Keypoints without edges are left out, as
    `AutoLink.without_keypoints` makes them.

    A file that cannot be read is skipped and reported. Raises ValueError if a file to be written is there and
    `overwrite` is off, if there is nothing to look at, and if no file can be read; OSError if the disk is full.
    Whatever ends it early, the tables keep the files that were finished.
    """
    if not isinstance(regressor, LandmarkRegressor | None):
        regressor = LandmarkRegressor.load(Path(regressor))
    poses = PoseOptions(tuple(formats), min_likelihood, Smoothing.parse(smooth), overwrite)
    sources = sources_of(paths, out=out, overlays=overlays, overwrite=overwrite, formats=formats)
    name = "the model"
    if not isinstance(graph, AutoLink):
        run = RunFolder.find(graph, kind="graph")
        name, graph = str(run.path), load_graph_model(run, device=chosen_device(device))
    return detect_sources(
        graph,
        sources,
        out=out,
        regressor=regressor,
        overlays=overlays,
        edges=edges,
        threshold=threshold,
        batch_size=batch_size,
        fps=fps,
        poses=poses,
        model_name=name,
        progress=progress,
    )


@dataclass(frozen=True)
class OpenedGraph:
    """A graph to detect with, on its device, and the regressor of named landmarks.

    ``text`` describes the graph to users.
    """

    graph: AutoLink
    regressor: LandmarkRegressor | None
    name: str
    text: str


def open_graph(
    run: str | os.PathLike[str] | None,
    *,
    dropped: ClusterChoice | None = None,
    regressor_file: Path | None = None,
    device: str = "cpu",
) -> OpenedGraph:
    """Load a run's graph without the ``dropped`` clusters; None: the newest run.

    A regressor still uses all keypoints, as it was fitted on all. Raises ClusterError for clusters that cannot be
    dropped, ValueError for a run or a regressor that cannot be used.
    """
    folder = RunFolder.find(run, kind="graph")
    complete = load_graph_model(folder)
    graph = without_clusters(complete, dropped)  # on the CPU, as elsewhere: the clusters must be the same
    regressor = None
    if regressor_file is not None:
        regressor = LandmarkRegressor.load(regressor_file)
        regressor.check_graph(complete.to(device).edge_weights, run=str(folder.path))
    text = f"model: {folder}, {graph.config.num_keypoints} keypoints{without_text(graph, dropped)}"
    return OpenedGraph(graph.to(device).prepare_for_inference(), regressor, str(folder.path), text)


def sources_of(
    paths: Sequence[str | Path] | str | Path,
    *,
    out: str | Path,
    overlays: bool = True,
    overwrite: bool = False,
    formats: Sequence[str] = (),
) -> list[InputFile]:
    """The input files, checked before a model is loaded; raises ValueError as `detect_files` does."""
    check_formats(formats)
    path_list = [paths] if isinstance(paths, str | Path) else paths
    sources = find_sources([Path(path) for path in path_list], out=Path(out))
    overlay_files = [Path(out) / source.overlay for source in sources] if overlays else []
    if formats:
        places = pose_paths(Path(out), sources, formats)
        if lost := next((source for source in sources if not places[source.path]), None):
            raise ValueError(f"{', '.join(formats)} holds videos alone, and {lost.path} is an image: add a format")
        pose_files = {file for files in places.values() for file in files.values()}
        check_free(*pose_files, *overlay_files, journal_path(Path(out)), overwrite=True)  # what is there is kept
    else:
        check_free(*table_paths(Path(out)), *overlay_files, overwrite=overwrite)
    return sources


def detect_sources(
    graph: AutoLink,
    sources: Sequence[InputFile],
    *,
    out: str | Path,
    regressor: LandmarkRegressor | None = None,
    overlays: bool = True,
    edges: bool = True,
    threshold: float = 0.1,
    batch_size: int | None = None,
    fps: float | None = None,
    poses: PoseOptions = PoseOptions(),
    model_name: str = "the model",
    progress: Progress = progress_bar,
) -> DetectionReport:
    """Detect keypoints in the files that `sources_of` found, as `detect_files` does.

    `model_name` is used in tables and messages.
    """
    out = Path(out)
    skeleton = _skeleton(graph, regressor, model_name)
    tables = _tables(out, sources, skeleton, poses, overlays=overlays)
    finished, resumed = _done_before(tables, sources)
    detector = FileDetector(
        graph,
        tables,
        regressor=regressor,
        dropped=skeleton.dropped,
        out=out if overlays else None,
        edge_weights=skeleton.edge_weights if edges else None,
        threshold=threshold,
        batch_size=batch_size,
        fps=fps,
        model_name=model_name,
        likelihood=_likelihood(graph) if poses.formats or poses.min_likelihood else None,
        min_likelihood=poses.min_likelihood,
        smooth=poses.smooth,
        drawn_before=() if isinstance(tables, KeypointFiles) else tables.drawn_before,
    )
    done = {*finished, *resumed}
    todo = [source for source in sources if source not in done]
    if todo or resumed:
        _run(detector, todo, progress)
    return DetectionReport(
        tables.paths,
        tables.num_records,
        detector.num_overlays,
        len(sources),
        tuple(tables.skipped),
        tuple(source.path for source in finished),
        tuple(source.path for source in resumed),
    )


def _skeleton(graph: AutoLink, regressor: LandmarkRegressor | None, name: str) -> Skeleton:
    """What is found in each file."""
    return Skeleton(
        name,
        graph.edge_weights.detach().cpu().numpy(),
        unlinked_keypoints(graph.edge_weights).tolist(),
        () if regressor is None else regressor.names,
        None if regressor is None else regressor.parts(),
        calibrated=graph.likelihood is not None,
    )


def _done_before(
    tables: KeypointFiles | PoseFiles, sources: Sequence[InputFile]
) -> tuple[list[InputFile], list[InputFile]]:
    """The sources whose files are there, and the images whose points are in the journal of those files."""
    if isinstance(tables, KeypointFiles):
        return [], []
    finished = [source for source in sources if tables.is_finished(source)]
    if missing := tables.missing_images():
        count = counted(len(missing), "image")
        logger.warning("the files of images are there and lack %s, %s say: new ones, or such as could not be read; "
                       "give another --out, or --overwrite to look at all again", count, missing[0])  # fmt: skip
    return finished, [source for source in sources if tables.is_taken_up(source)]


def _tables(
    out: Path, sources: Sequence[InputFile], skeleton: Skeleton, poses: PoseOptions, *, overlays: bool
) -> KeypointFiles | PoseFiles:
    """The tables to fill: a file a video in each format that is asked for, or two for all."""
    if poses.formats:
        return PoseFiles(
            out,
            sources,
            formats=poses.formats,
            skeleton=skeleton,
            overwrite=poses.overwrite,
            overlays=overlays,
            min_likelihood=poses.min_likelihood,
        )
    return KeypointFiles(
        out,
        model_name=skeleton.model_name,
        edge_weights=skeleton.edge_weights,
        dropped=skeleton.dropped,
        landmark_names=skeleton.landmark_names,
    )


def _likelihood(graph: AutoLink) -> LikelihoodMap:
    """The graph's likelihood, or one that is not calibrated, which is said."""
    if graph.likelihood is None:
        logger.warning("likelihoods put points in order, and are no shares: learn-graph calibrates at its end, and "
                       "this model is older, imported, or of a run that was stopped; autolink-gen evaluate RUN "
                       "--calibrate FILE.safetensors makes a calibrated one of it")  # fmt: skip
    return graph.likelihood or UNCALIBRATED


def _run(detector: "FileDetector", sources: Sequence[InputFile], progress: Progress) -> None:
    """Process all files; the log says what is kept if that ends early."""
    tables = detector.tables
    try:
        with tables:
            total = detector.open(sources)
            for _ in progress(detector.detect(), total, "detect"):
                pass
            if not tables.num_records:
                raise ValueError(_none_read([reason for _, reason in tables.skipped]))
    except BaseException:
        if tables.num_kept:
            records = counted(tables.num_kept, "record")
            listed = [str(path) for path in tables.paths[:_MAX_KEPT]]
            more = [f"{len(tables.paths) - _MAX_KEPT} more"] if len(tables.paths) > _MAX_KEPT else []
            then = "; the same command goes on" if isinstance(tables, PoseFiles) else ""
            logger.info("kept: %s, %s of whole files%s", " and ".join([*listed, *more]), records, then)
        raise


def _none_read(reasons: Sequence[str]) -> str:
    more = [f"and {len(reasons) - _MAX_REASONS} more"] if len(reasons) > _MAX_REASONS else []
    listed = "; ".join([*reasons[:_MAX_REASONS], *more])
    return f"none of the {len(reasons)} files could be read; nothing was written: {listed}"
