"""Detect keypoints in files: images, videos and folders of them become overlays and tables."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy import ndarray

from autolink_gen.checkpoints import load_graph_model
from autolink_gen.clusters import ClusterChoice, without_clusters, without_text
from autolink_gen.common.devices import chosen_device
from autolink_gen.common.files import check_free, no_space, reason_of, write_image
from autolink_gen.common.progress import Progress, progress_bar
from autolink_gen.common.text import counted, printable
from autolink_gen.data.video.animated_images import is_animated
from autolink_gen.data.video.reader import VideoReader
from autolink_gen.data.video.writer import VideoWriter
from autolink_gen.inference.detect import (
    Detection,
    SourceImage,
    detect_images,
    landmarks_px,
    read_image_files,
    video_frames,
)
from autolink_gen.inference.keypoint_files import KeypointFiles, table_paths
from autolink_gen.inference.landmark_regressor import LandmarkRegressor
from autolink_gen.inference.sources import InputFile, find_sources
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.divergence import DivergedModelError, check_found
from autolink_gen.ops.keypoints import unlinked_keypoints
from autolink_gen.runs import RunFolder
from autolink_gen.viz.graphs import draw_graph

logger = logging.getLogger(__name__)
_MAX_REASONS = 5  # reasons in the message when no file could be read


@dataclass(frozen=True)
class DetectionReport:
    """What `detect_files` wrote, and the files it skipped, with the reasons."""

    tables: tuple[Path, ...]
    num_records: int
    num_overlays: int
    num_files: int
    skipped: tuple[tuple[Path, str], ...]


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
    `regressor`, or its file, also finds named landmarks. Keypoints without edges are left out, as
    `AutoLink.without_keypoints` makes them.

    A file that cannot be read is skipped and reported. Raises ValueError if a file to be written is there and
    `overwrite` is off, if there is nothing to look at, and if no file can be read; OSError if the disk is full.
    Whatever ends it early, the tables keep the files that were finished.
    """
    if not isinstance(regressor, LandmarkRegressor | None):
        regressor = LandmarkRegressor.load(Path(regressor))
    sources = sources_of(paths, out=out, overlays=overlays, overwrite=overwrite)
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
    paths: Sequence[str | Path] | str | Path, *, out: str | Path, overlays: bool = True, overwrite: bool = False
) -> list[InputFile]:
    """The input files, checked before a model is loaded; raises ValueError as `detect_files` does."""
    path_list = [paths] if isinstance(paths, str | Path) else paths
    sources = find_sources([Path(path) for path in path_list], out=Path(out))
    overlay_files = [Path(out) / source.overlay for source in sources] if overlays else []
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
    model_name: str = "the model",
    progress: Progress = progress_bar,
) -> DetectionReport:
    """Detect keypoints in the files that `sources_of` found, as `detect_files` does.

    `model_name` is used in tables and messages.
    """
    out = Path(out)
    dropped = unlinked_keypoints(graph.edge_weights).tolist()
    weights = graph.edge_weights.detach().cpu().numpy()
    names = () if regressor is None else regressor.names
    tables = KeypointFiles(out, model_name=model_name, edge_weights=weights, dropped=dropped, landmark_names=names)
    detector = FileDetector(
        graph,
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
    _run(detector, sources, progress)
    return DetectionReport(tables.paths, tables.num_records, detector.num_overlays, len(sources), tuple(tables.skipped))


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
            logger.info("kept: %s, %s of whole files", " and ".join(map(str, tables.paths)), records)
        raise


def _none_read(reasons: Sequence[str]) -> str:
    more = [f"and {len(reasons) - _MAX_REASONS} more"] if len(reasons) > _MAX_REASONS else []
    listed = "; ".join([*reasons[:_MAX_REASONS], *more])
    return f"none of the {len(reasons)} files could be read; nothing was written: {listed}"


@dataclass
class FileDetector:
    """Detects keypoints in files, fills tables, and draws overlays into `out`, if given.

    A file that fails is removed from the tables and listed there as skipped, with the reason. Two things end the work:
    a full disk (OSError with what could not be written), and a model that finds nothing in an image
    (DivergedModelError with `model_name`).
    """

    model: AutoLink
    tables: KeypointFiles
    regressor: LandmarkRegressor | None = None
    dropped: Sequence[int] = ()
    out: Path | None = None
    edge_weights: ndarray | None = None
    """None draws no edges."""
    threshold: float = 0.1
    batch_size: int | None = None
    fps: float | None = None
    """The most frames a second of a video that are looked at; None: all."""
    num_overlays: int = 0
    model_name: str = "the model"
    _videos: list[tuple[InputFile, VideoReader]] = field(default_factory=list)
    _images: list[InputFile] = field(default_factory=list)

    def open(self, sources: Sequence[InputFile]) -> int:
        """Open the videos; the number of images and frames, as far as the files tell."""
        self._images = [source for source in sources if not source.is_video]
        for source in sources:
            if source.is_video:
                with self._skipping_errors(source.path):
                    self._videos.append((source, VideoReader(source.path, takes_cut=True)))
        return len(self._images) + sum(self._num_frames(reader) for _, reader in self._videos)

    def detect(self) -> Iterator[None]:
        """Process the images, then each video; yields after each image and frame."""
        yield from self._detect_images()
        for source, reader in self._videos:
            with self._skipping_errors(source.path):
                yield from self._detect_video(source, reader)

    def _detect_images(self) -> Iterator[None]:
        overlays = {source.path: source.overlay for source in self._images}
        stream = read_image_files(list(overlays), on_error=self._skip)
        detections = detect_images(self.model, stream, batch_size=self.batch_size, on_error=self._skip_image)
        for detection in detections:
            with self._skipping_errors(detection.source.file):
                check_found(detection.keypoints_px, name=self.model_name)
                landmarks = self._landmarks(detection)
                if self.out is not None:
                    write_image(self.out / overlays[detection.source.file], self._draw_overlay(detection, landmarks))
                    self.num_overlays += 1
                self.tables.add(detection, landmarks)
                self.tables.end_file()
                if is_animated(detection.source.file):
                    file = printable(str(detection.source.file))
                    logger.warning("%s moves: its first image alone is looked at; make it a GIF or MP4 for all", file)
            yield

    def _detect_video(self, source: InputFile, reader: VideoReader) -> Iterator[None]:
        detections = self._detect_frames(reader)
        if self.out is None:
            for detection in detections:
                self.tables.add(detection, self._landmarks(detection))
                yield
        else:
            rate = reader.fps if self.fps is None or reader.fps <= self.fps else self.fps
            with VideoWriter(self.out / source.overlay, fps=rate, copy_audio_from=source.path) as writer:
                for detection in detections:
                    landmarks = self._landmarks(detection)
                    self.tables.add(detection, landmarks)
                    writer.write(self._draw_overlay(detection, landmarks), time_s=detection.source.time_s)
                    yield
                writer.end_at(reader.ends_s)
            self.num_overlays += 1
        self.tables.end_file()
        if reader.ends_early:
            logger.warning("%s", reader.ends_early)

    def _detect_frames(self, reader: VideoReader) -> Iterator[Detection]:
        frames = video_frames(reader, fps=self.fps)
        for detection in detect_images(self.model, frames, batch_size=self.batch_size):
            check_found(detection.keypoints_px, name=self.model_name)
            yield detection

    @contextmanager
    def _skipping_errors(self, file: Path) -> Iterator[None]:
        self.tables.begin_file()
        try:
            yield
        except Exception as error:  # noqa: BLE001 - each file fails by itself
            self.tables.take_back()
            self._skip(file, error)

    def _skip_image(self, image: SourceImage, error: Exception) -> None:
        self._skip(image.file, error)

    def _skip(self, file: Path, error: Exception) -> None:
        if no_space(error) or isinstance(error, DivergedModelError):
            raise error
        logger.debug("%s is skipped", file, exc_info=error)
        self.tables.skip(file, _reason(file, error))

    def _num_frames(self, reader: VideoReader) -> int:
        share = 1.0 if self.fps is None else min(1.0, self.fps / float(reader.fps))
        return round((reader.num_frames or 0) * share)

    def _landmarks(self, detection: Detection) -> ndarray | None:
        """The landmarks in pixels, if there is a regressor."""
        return None if self.regressor is None else landmarks_px(self.regressor, detection)

    def _draw_overlay(self, detection: Detection, landmarks: ndarray | None) -> ndarray:
        keypoints = detection.without(self.dropped).keypoints
        overlay = draw_graph(detection.source.pixels, keypoints, self.edge_weights, threshold=self.threshold)
        if landmarks is None:
            return overlay
        white = np.full((len(landmarks), 3), 255, np.uint8)
        dot_px = 2.0 if len(landmarks) <= 20 else 1.5
        return draw_graph(overlay, detection.normalise(landmarks), colours=white, dot_px=dot_px)


def _reason(file: Path, error: Exception) -> str:
    """Why a file is skipped, with its name; unexpected errors also name their type."""
    if isinstance(error, UnicodeEncodeError) and str(file) != printable(str(file)):
        return f"{printable(str(file))}: its name is no UTF-8, and FFmpeg opens no such file; rename it"
    is_expected = isinstance(error, ValueError | OSError) and not getattr(error, "strerror", None)
    text = str(error) if is_expected and str(error) else reason_of(error)
    kind = type(error).__name__
    if not is_expected and not isinstance(error, OSError | MemoryError) and not text.startswith(kind):
        text = f"{kind}: {text}"
    return text if printable(str(file)) in text or str(file) in text else f"{file}: {text}"
