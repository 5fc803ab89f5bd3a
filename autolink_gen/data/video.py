"""Videos, frame by frame, with PyAV: damaged frames are skipped, time stamps and sound are kept."""

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from autolink_gen.data.sound import Sound
from autolink_gen.files import sync_file

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".gif")
WRITABLE_SUFFIXES = (".mp4", ".mov", ".gif")
MAX_BAD_SHARE = 0.2
Rate = Fraction | float | int  # frames a second
_UNKNOWN_FPS = Fraction(25)
_MP4_AUDIO = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")
_BT709 = 1
_GIF_TICK = Fraction(1, 100)


class VideoError(ValueError):
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
            self.fps = stream.average_rate or stream.guessed_rate or stream.base_rate or _UNKNOWN_FPS
            self.num_frames = _count_frames(container, stream, self.fps)
            self.has_audio = bool(container.streams.audio)
            first = next(self._decoded(container, stream), None)
            if first is None:
                raise self._error("none of its frames can be decoded")
            self.height, self.width = _upright(first).shape[:2]

    def __iter__(self) -> Iterator[UInt8[ndarray, "H W 3"]]:
        return (frame.pixels for frame in self.timed())

    def timed(self, *, fps: Rate | None = None) -> Iterator[TimedFrame]:
        """The frames with their times; with `fps`, at most one frame for each 1 / fps seconds."""
        if fps is not None and not fps > 0:
            raise ValueError(f"fps is {fps}; it must be positive")
        next_s = -math.inf
        for frame in self._all_frames():
            # A thousandth of a second of slack: time stamps are rounded.
            if fps is None or frame.time_s >= next_s - 1e-3:
                next_s = (math.floor((frame.time_s + 1e-3) * fps) + 1) / fps if fps else next_s
                yield frame

    def _all_frames(self) -> Iterator[TimedFrame]:
        self.bad_frames = good = 0
        with self._opened() as (container, stream):
            start = Fraction(container.start_time or 0, av.time_base)
            for frame in self._decoded(container, stream):
                time = good / self.fps if frame.time is None else frame.pts * frame.time_base - start
                yield TimedFrame(good, float(time), _upright(frame))
                good += 1
            self._check_share(good)

    def _decoded(self, container: Any, stream: Any) -> Iterator[Any]:
        """Undamaged frames; damaged ones, and those that the file promises and has not, are counted."""
        good = discarded = 0
        for packet in self._packets(container, stream):
            discarded += packet.is_discard
            try:
                frames = packet.decode()
            except FFmpegError:
                self.bad_frames += 1
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self.bad_frames += 1
                else:
                    good += 1
                    yield frame
        if "mp4" in container.format.name and stream.frames:
            self.bad_frames = max(self.bad_frames, stream.frames - discarded - good)

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        try:
            yield from container.demux(stream)
        except FFmpegError as error:
            logger.warning("%s breaks off: %s", self.path, error.strerror)
            self.bad_frames += 1

    def _check_share(self, good: int) -> None:
        total = good + self.bad_frames
        if self.bad_frames > self.max_bad_share * total:
            raise self._error(
                f"{self.bad_frames} of its {total} frames are damaged or missing, more than the share "
                f"{self.max_bad_share:g} that is allowed"
            )
        if self.bad_frames:
            logger.warning("%s: skipped %d damaged frames of %d", self.path, self.bad_frames, total)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        try:
            container = av.open(str(self.path), metadata_errors="replace")
        except (FFmpegError, OSError) as error:
            raise self._error(_reason(self.path, error)) from error
        with container:
            if not container.streams.video:
                raise self._error("there is no picture track in it")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield container, stream

    def _error(self, reason: str) -> VideoError:
        return VideoError(
            f"cannot read the video {self.path}: {reason}; play it to see whether it is whole, then copy or "
            f"download it again, convert it (`ffmpeg -i {self.path.name} whole.mp4`), or leave it out"
        )


class VideoWriter:
    """Writes frames, uint8 (H, W, 3) RGB, into an .mp4 or .mov (H.264, yuv420p, index first) or a .gif.

    Use it in a `with` block. The file is made beside `path` under a temporary name and takes its own when the
    block ends well; after an error nothing is left. `fps` is kept exactly. The first frame sets the size; an
    odd width or height grows by a pixel, since H.264 takes even ones alone. `copy_audio_from` names a file
    whose sound is laid under the frames, in step with their times and no longer than they last; one without
    sound changes nothing. Raises ValueError for another ending, a frame of another size, or a block that
    wrote no frame.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fps: Rate,
        copy_audio_from: str | Path | None = None,
        crf: int = 18,
    ) -> None:
        self.path = Path(path)
        self.is_gif = self.path.suffix.lower() == ".gif"
        if self.path.suffix.lower() not in WRITABLE_SUFFIXES:
            raise ValueError(f"cannot write {self.path}: the name must end in {', '.join(WRITABLE_SUFFIXES)}")
        if not fps > 0:
            raise ValueError(f"fps is {fps}; it must be positive")
        self.fps = Fraction(fps).limit_denominator(65535)
        self.crf = crf
        self.num_frames = 0
        self._audio_from = None if copy_audio_from is None or self.is_gif else Path(copy_audio_from)
        self._temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        self._container: Any = None
        self._stream: Any = None
        self._sound: Sound | None = None
        self._last_pts = -1
        self._size = (0, 0)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            with suppress(FFmpegError):
                self._close()
            self._temporary.unlink(missing_ok=True)

    def write(self, frame: UInt8[ndarray, "H W 3"], *, time_s: float | None = None) -> None:
        """Append a frame, shown from `time_s` seconds on, or 1 / fps after the last where none is given."""
        if self._container is None:
            with self._disk_errors():
                self._open(frame)
        if frame.shape[:2] != self._size:
            raise ValueError(
                f"frame {self.num_frames} of {self.path} has height and width {frame.shape[:2]}, the first "
                f"had {self._size}; bring all frames to one size"
            )
        tick = self._stream.codec_context.time_base
        # Where no time is given the exact rate counts, and rounding must not add up.
        time = self.num_frames / self.fps if time_s is None else time_s
        pts = round(time / tick) if time_s is None else round(time_s / float(tick))
        self.num_frames += 1
        if self.is_gif and self._last_pts >= 0 and pts < self._last_pts + 2:
            return  # viewers slow down a GIF of more than 50 frames a second
        pts = max(pts, self._last_pts + 1)
        picture = self._picture(frame)
        picture.pts, picture.time_base = pts, tick
        self._last_pts = pts
        with self._disk_errors():
            self._container.mux(self._stream.encode(picture))
            if self._sound is not None:
                self._sound.mux_until(float(pts * tick))

    def _open(self, frame: ndarray) -> None:
        self._size = (frame.shape[0], frame.shape[1])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        form = self.path.suffix.lower()[1:]
        options = {} if self.is_gif else {"movflags": "+faststart"}
        self._container = av.open(str(self._temporary), "w", format=form, options=options)
        self._stream = self._gif_stream() if self.is_gif else self._h264_stream()
        if self._audio_from is not None:
            self._sound = Sound.open(self._audio_from, self._container)

    def _gif_stream(self) -> Any:
        stream = self._container.add_stream("gif", rate=self.fps)
        stream.height, stream.width = self._size
        stream.pix_fmt = "pal8"
        stream.codec_context.time_base = _GIF_TICK
        return stream

    def _h264_stream(self) -> Any:
        stream = self._container.add_stream("libx264", rate=self.fps, options={"crf": str(self.crf)})
        stream.height, stream.width = (side + side % 2 for side in self._size)
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        # At least 10000 ticks a second, and a whole number of them a frame.
        ticks_per_s = self.fps.numerator * math.ceil(10_000 / self.fps.numerator)
        context.time_base = Fraction(1, ticks_per_s)
        return stream

    def _picture(self, frame: ndarray) -> Any:
        if self.is_gif:
            return _with_palette(frame)
        height, width = self._size
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        return picture.reformat(format="yuv420p", dst_colorspace=_BT709)

    def _finish(self) -> None:
        if self._container is None:
            raise ValueError(f"no frame was written to {self.path}; give at least one")
        with self._disk_errors():
            self._container.mux(self._stream.encode(None))
            if self._sound is not None:
                last = self._last_pts * self._stream.codec_context.time_base
                self._sound.mux_until(float(last + 1 / self.fps))
                self._sound.finish()
            self._close()
        sync_file(self._temporary)
        self._temporary.replace(self.path)

    def _close(self) -> None:
        sound, self._sound = self._sound, None
        container, self._container = self._container, None
        if sound is not None:
            sound.close()
        if container is not None:
            container.close()

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except FFmpegError as error:
            raise OSError(f"could not write {self.path}: {error.strerror}") from error


def _upright(frame: Any) -> ndarray:
    """A decoded frame as RGB, turned as the file says (telephones store upright films lying down)."""
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)))


def _count_frames(container: Any, stream: Any, fps: Fraction) -> int | None:
    if stream.frames:
        return int(stream.frames)
    if stream.duration:
        return round(stream.duration * stream.time_base * fps)
    return round(container.duration * fps / av.time_base) if container.duration else None


def _reason(path: Path, error: FFmpegError | OSError) -> str:
    if not path.exists():
        return "there is no such file"
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty (0 bytes)"
    if isinstance(error, av.error.InvalidDataError):
        return "its content is no video that is known here, or it was cut short"
    return error.strerror or str(error)


def _with_palette(frame: ndarray) -> Any:
    """A frame of at most 256 colours, chosen for it alone."""
    image = Image.fromarray(frame).quantize(256)
    palette = np.zeros((256, 4), np.uint8)
    colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette[: len(colours), 1:] = colours
    palette[:, 0] = 255
    pair: Any = (np.asarray(image), palette)  # as its documentation asks, against its type hint
    return av.VideoFrame.from_ndarray(pair, format="pal8")
