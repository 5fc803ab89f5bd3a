"""Detects keypoints in files one by one, fills tables and draws overlays."""

import logging
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy import ndarray

from autolink_gen.common.files import no_space, reason_of, write_image
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
from autolink_gen.inference.keypoint_files import KeypointFiles
from autolink_gen.inference.landmark_regressor import LandmarkRegressor
from autolink_gen.inference.pose_files import PoseFiles
from autolink_gen.inference.smoothing import Smoother, Smoothing
from autolink_gen.inference.sources import InputFile
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.divergence import DivergedModelError, check_found
from autolink_gen.ops.likelihood import LikelihoodMap
from autolink_gen.ops.pixels import to_pixels
from autolink_gen.viz.graphs import draw_graph

logger = logging.getLogger(__name__)


@dataclass
class FileDetector:
    """Detects keypoints in files, fills tables, and draws overlays into `out`, if given.

    A file that fails is removed from the tables and listed there as skipped, with the reason. Two things end the work:
    a full disk (OSError with what could not be written), and a model that finds nothing in an image
    (DivergedModelError with `model_name`).
    """

    model: AutoLink
    tables: KeypointFiles | PoseFiles
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
    likelihood: LikelihoodMap | None = None
    """Gives each keypoint a likelihood; None: they have none."""
    min_likelihood: float = 0.0
    """Points that are less likely become NaN; needs a ``likelihood``."""
    smooth: Smoothing | None = None
    """How the keypoints of videos are smoothed."""
    drawn_before: Container[Path] = ()
    """Files whose overlays are there, and stay."""
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
        with self._timed("images"):
            yield from self._detect_images()
            self.tables.end_images()
        for source, reader in self._videos:
            with self._skipping_errors(source.path), self._timed(printable(str(source.path))):
                yield from self._detect_video(source, reader)

    def _detect_images(self) -> Iterator[None]:
        overlays = {source.path: source.overlay for source in self._images}
        stream = read_image_files(list(overlays), on_error=self._skip)
        detections = detect_images(
            self.model,
            stream,
            batch_size=self.batch_size,
            on_error=self._skip_image,
            with_widths=self.likelihood is not None,
        )
        for detection in detections:
            with self._skipping_errors(detection.source.file):
                check_found(detection.keypoints_px, name=self.model_name)
                points, landmarks = self._points(detection)
                if self.out is not None and detection.source.file not in self.drawn_before:
                    write_image(self.out / overlays[detection.source.file], self._draw_overlay(points, landmarks))
                    self.num_overlays += 1
                self.tables.add(points, landmarks)
                self.tables.end_file()
                if is_animated(detection.source.file):
                    file = printable(str(detection.source.file))
                    logger.warning("%s moves: its first image alone is looked at; make it a GIF or MP4 for all", file)
            yield

    def _detect_video(self, source: InputFile, reader: VideoReader) -> Iterator[None]:
        detections = self._detect_frames(reader)
        if self.out is None or source.path in self.drawn_before:
            for detection in detections:
                self.tables.add(*self._points(detection))
                yield
        else:
            rate = reader.fps if self.fps is None or reader.fps <= self.fps else self.fps
            with VideoWriter(self.out / source.overlay, fps=rate, copy_audio_from=source.path) as writer:
                for detection in detections:
                    points, landmarks = self._points(detection)
                    self.tables.add(points, landmarks)
                    writer.write(self._draw_overlay(points, landmarks), time_s=detection.source.time_s)
                    yield
                writer.end_at(reader.ends_s)
            self.num_overlays += 1
        self.tables.end_file()
        if reader.ends_early:
            logger.warning("%s", reader.ends_early)

    def _detect_frames(self, reader: VideoReader) -> Iterator[Detection]:
        frames, with_widths = video_frames(reader, fps=self.fps), self.likelihood is not None
        found = detect_images(self.model, frames, batch_size=self.batch_size, with_widths=with_widths)
        yield from self._checked(found) if self.smooth is None else _smoothed(self._checked(found), self.smooth)

    def _checked(self, detections: Iterable[Detection]) -> Iterator[Detection]:
        for detection in detections:
            check_found(detection.keypoints_px, name=self.model_name)
            yield detection

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        """Say in the log, where something was found, how many images or frames and how long it took."""
        started, before = time.monotonic(), self.tables.num_records
        yield
        if found := self.tables.num_records - before:
            logger.info("%s: %s in %.1f s", name, counted(found, "record"), time.monotonic() - started)

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

    def _points(self, detection: Detection) -> tuple[Detection, ndarray | None]:
        """The detection with likelihoods, and the landmarks in pixels if there is a regressor; unlikely ones are NaN.

        Landmarks are found from all keypoints, the unlikely ones too, as they were fitted.
        """
        landmarks = None if self.regressor is None else landmarks_px(self.regressor, detection)
        if self.likelihood is None or detection.widths is None:
            return detection, landmarks
        likelihoods = self.likelihood(detection.widths)
        if self.regressor is not None and landmarks is not None:
            unlikely = self.regressor.parts() @ likelihoods < self.min_likelihood
            landmarks = np.where(unlikely[:, None], np.nan, landmarks)
        unlikely = np.flatnonzero(likelihoods < self.min_likelihood)
        return replace(detection, likelihoods=likelihoods).without(unlikely.tolist()), landmarks

    def _draw_overlay(self, detection: Detection, landmarks: ndarray | None) -> ndarray:
        keypoints = detection.without(self.dropped).keypoints
        overlay = draw_graph(detection.source.pixels, keypoints, self.edge_weights, threshold=self.threshold)
        if landmarks is None:
            return overlay
        white = np.full((len(landmarks), 3), 255, np.uint8)
        dot_px = 2.0 if len(landmarks) <= 20 else 1.5
        return draw_graph(overlay, detection.normalise(landmarks), colours=white, dot_px=dot_px)


def _smoothed(detections: Iterable[Detection], smoothing: Smoothing) -> Iterator[Detection]:
    """The detections of a video, their keypoints smoothed over time."""
    smoother = Smoother[Detection](smoothing)
    for detection in detections:
        yield from _placed(smoother.push(detection.keypoints, detection, time_s=detection.source.time_s or 0.0))
    yield from _placed(smoother.finish())


def _placed(smoothed: Iterable[tuple[ndarray | None, Detection]]) -> Iterator[Detection]:
    for keypoints, detection in smoothed:
        assert keypoints is not None
        size = detection.width_px, detection.height_px
        yield replace(detection, keypoints_px=to_pixels(keypoints, size=size))


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
