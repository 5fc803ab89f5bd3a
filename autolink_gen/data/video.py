"""Videos, frame by frame, with PyAV: damaged frames are skipped, time stamps and sound are kept."""

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from autolink_gen.data.frame_pixels import Display
from autolink_gen.data.video_limits import TooLargeFramesError, check_frame, limit_decoder, opening_options
from autolink_gen.files import BadFileError, reading, reason_of
from autolink_gen.limits import PIXELS_VARIABLE
from autolink_gen.text import printable, typed

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".gif")
MAX_BAD_SHARE = 0.2
Rate = Fraction | float | int  # frames a second
_UNKNOWN = "its content is no video that is known here, or it was cut short"
_UNKNOWN_FPS = Fraction(25)
_MAX_FPS = 1000
_MAX_GAP_S = 8 * 3600  # between frames: a longer one is a damaged time stamp, and no file can hold it
_MAX_IN_VAIN = 10_000  # packets in a row without a frame


class VideoError(BadFileError):
    """A video that cannot be read; the message names the file, the reason and the remedy."""


@dataclass(frozen=True)
class TimedFrame:
    """A frame, RGB and upright; its number among the undamaged, from 0; its time from the file's start."""

    number: int
    time_s: float
    pixels: UInt8[ndarray, "H W 3"]


class VideoReader:
    """A video file as an iterable of frames, uint8 (H, W, 3) RGB, turned upright; it can be iterated again.

    Reads one frame at a time. `fps` is the mean frame rate, `width` and `height` are pixels of the upright
    frame, `num_frames` is what the file says or an estimate from its length, None where neither is known.
    `bad_frames` counts the damaged frames that the current or last iteration skipped, those missing from a
    truncated file included; an iteration ends in VideoError where they exceed `max_bad_share` of all. Raises
    VideoError (a ValueError) that names the file and the remedy where it is no readable video.
    """

    def __init__(self, path: str | Path, *, max_bad_share: float = MAX_BAD_SHARE) -> None:
        if not 0 <= max_bad_share < 1:
            raise ValueError(f"max_bad_share is {max_bad_share}; it must be at least 0 and below 1")
        self.path = Path(path)
        self.max_bad_share = max_bad_share
        self.bad_frames = 0
        with self._opened() as (container, stream):
            self.fps = _rate(stream)
            self.num_frames = _count_frames(container, stream, self.fps, num_bytes=self.path.stat().st_size)
            self.has_audio = bool(container.streams.audio)
            display = Display(stream, self.path)
            first = next(display.shown(self._decoded(container, stream, whole=True)), None)
            if first is None:
                raise self._error(f"none of its frames can be decoded, or all are too large ({PIXELS_VARIABLE})")
            self.height, self.width = display.pixels(first).shape[:2]

    def __iter__(self) -> Iterator[UInt8[ndarray, "H W 3"]]:
        return (frame.pixels for frame in self.timed())

    def timed(self, *, fps: Rate | None = None, start_s: float = 0.0, end_s: float = math.inf) -> Iterator[TimedFrame]:
        """The frames from `start_s` to before `end_s` with their times; with `fps`, at most one each 1 / fps seconds.

        A start beyond 0 is sought, not read up to.
        """
        if fps is not None and not fps > 0:
            raise ValueError(f"fps is {fps}; it must be positive")
        next_s = start_s
        for frame in self.from_keyframe(start_s):
            # A thousandth of a second of slack: time stamps are rounded.
            if frame.time_s >= end_s - 1e-3:
                return
            if frame.time_s >= next_s - 1e-3:
                next_s = (math.floor((frame.time_s + 1e-3) * fps) + 1) / fps if fps else next_s
                yield self._of_one_size(frame)

    def _of_one_size(self, frame: TimedFrame) -> TimedFrame:
        """The frame, brought to the size of the first where a video changes in the middle."""
        if frame.pixels.shape[:2] == (self.height, self.width):
            return frame
        resized = Image.fromarray(frame.pixels).resize((self.width, self.height), Image.Resampling.BILINEAR)
        return replace(frame, pixels=np.asarray(resized))

    def from_keyframe(self, time_s: float) -> Iterator[TimedFrame]:
        """All frames from the last keyframe at or before a time on: those that must be decoded to see that time.

        Beyond 0, a frame's number is its time in units of 1 / `fps`, and the share of damaged frames is not checked.
        """
        self.bad_frames = good = 0
        sought = time_s > 0
        with self._opened() as (container, stream):
            display = Display(stream, self.path)
            start = Fraction(container.start_time or 0, av.time_base)
            if sought:
                with suppress(FFmpegError):  # a file that cannot be sought in is read from its start
                    container.seek(round((time_s + start) * av.time_base))
            last = time_s if sought else 0.0
            for frame in display.shown(self._decoded(container, stream, whole=not sought)):
                time = _time_of(frame, start)
                if time is None or abs(time - last) > _MAX_GAP_S:
                    time = float(good / self.fps) if not sought else last + 1 / float(self.fps)
                last = time
                yield TimedFrame(round(time * float(self.fps)) if sought else good, time, display.pixels(frame))
                good += 1
            if not sought:
                self._check_share(good)

    def _decoded(self, container: Any, stream: Any, *, whole: bool) -> Iterator[Any]:
        """Undamaged frames; damaged ones, and those that a `whole` file promises and has not, are counted."""
        good = discarded = in_vain = 0
        for packet in self._packets(container, stream):
            discarded += packet.is_discard
            in_vain += 1
            if in_vain > _MAX_IN_VAIN:
                logger.warning("%s breaks off: %d packets in a row gave no frame", printable(str(self.path)), in_vain)
                self.bad_frames += 1
                return
            try:
                frames = packet.decode()
            except FFmpegError:
                self.bad_frames += 1
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self.bad_frames += 1
                else:
                    check_frame(frame, stream.codec_context.name)
                    good, in_vain = good + 1, 0
                    yield frame
        if whole and "mp4" in container.format.name and stream.frames:
            self.bad_frames = max(self.bad_frames, stream.frames - discarded - good)

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        try:
            yield from container.demux(stream)
        except FFmpegError as error:
            logger.warning("%s breaks off: %s", printable(str(self.path)), error.strerror)
            self.bad_frames += 1

    def _check_share(self, good: int) -> None:
        total = good + self.bad_frames
        if self.bad_frames > self.max_bad_share * total:
            raise self._error(
                f"{self.bad_frames} of its {total} frames are damaged or missing, more than the share "
                f"{self.max_bad_share:g} that is allowed"
            )
        if self.bad_frames:
            logger.warning("%s: skipped %d damaged frames of %d", printable(str(self.path)), self.bad_frames, total)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        try:
            with reading(self.path, "video", remedy=""), open_media(self.path) as container:
                if not container.streams.video:
                    raise self._error("there is no picture track in it")
                stream = container.streams.video[0]
                if stream.codec_context is None:
                    raise self._error("how its frames are compressed is not known here")
                limit_decoder(stream)
                yield container, stream
        except VideoError:
            raise
        except BadFileError as error:
            cause = error.__cause__ or error
            raise self._error(_reason(self.path, cause)) from cause

    def _error(self, reason: str) -> VideoError:
        remedy = f"copy or download it again, convert it (`ffmpeg -i {typed(self.path)} whole.mp4`), or leave it out"
        if reason == _UNKNOWN:  # it may be a playlist, which another program would follow
            remedy = "leave it out, or copy or download it again"
        return VideoError(f"cannot read the video {printable(str(self.path))}: {reason}; {remedy}")


def open_media(path: Path) -> Any:
    """Open a video or sound file with PyAV; it opens no other file, whatever it says, and its frames are limited.

    Raises ValueError for what is no ordinary file, or too large, and whatever PyAV does.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError("it is a directory" if path.is_dir() else "it is no ordinary file")
    # Not a relative name: "concat:a.mp4" would be taken for a protocol.
    return av.open(os.path.abspath(path), metadata_errors="replace", options=opening_options(path))  # noqa: PTH100


def is_video(path: Path) -> bool:
    """Whether the name ends in one of `VIDEO_SUFFIXES`, in upper or lower case."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def _time_of(frame: Any, start: Fraction) -> float | None:
    """Seconds from the start of the file, or None where they are not known."""
    if frame.pts is None or not frame.time_base:
        return None
    return float(frame.pts * frame.time_base - start)


def _rate(stream: Any) -> Fraction:
    """The frames a second that a stream says, as far as it is credible."""
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return next((rate for rate in rates if rate and 0 < rate <= _MAX_FPS), _UNKNOWN_FPS)


def _count_frames(container: Any, stream: Any, fps: Fraction, *, num_bytes: int) -> int | None:
    """How many frames a file says it has, or its length does; no more than it has bytes."""
    count = stream.frames
    if count <= 0 and stream.duration and stream.time_base:
        count = round(stream.duration * stream.time_base * fps)
    if count <= 0 and container.duration:
        count = round(container.duration * fps / av.time_base)
    return min(count, num_bytes) if count > 0 else None


def _reason(path: Path, error: BaseException) -> str:
    if not path.exists():
        return "there is no such file"
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty (0 bytes)"
    if isinstance(error, TooLargeFramesError):
        return f"{error} (set {PIXELS_VARIABLE} to allow more)"
    # An ArgumentError: FFmpeg takes it for a kind of file that is not among those allowed.
    if isinstance(error, (av.error.InvalidDataError, av.error.ArgumentError)):
        return _UNKNOWN
    return media_reason(error)


def media_reason(error: BaseException) -> str:
    """What an error says, FFmpeg's in its own words."""
    return str(error.strerror) if isinstance(error, FFmpegError) and error.strerror else reason_of(error)
