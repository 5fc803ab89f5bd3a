"""Videos read frame by frame with PyAV; damaged frames are skipped."""

import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from autolink_gen.common.files import BadFileError, reading
from autolink_gen.common.limits import PIXELS_VARIABLE
from autolink_gen.common.text import printable
from autolink_gen.data.video.base import EMPTY, MAX_BAD_SHARE, NO_TRACK, UNKNOWN, Rate, TimedFrame, Video, VideoError
from autolink_gen.data.video.frame_pixels import Display
from autolink_gen.data.video.limits import TooLargeFramesError, check_frame, limit_decoder
from autolink_gen.data.video.media_files import audio_track, media_reason, open_media, video_track
from autolink_gen.data.video.times import (
    RisingClock,
    count_frames,
    frame_time,
    hold_of,
    is_last,
    length_of,
    may_be_joined,
    num_packets,
    packet_time,
    rate_of,
    start_of,
    survey,
)

__all__ = ["MAX_BAD_SHARE", "VIDEO_SUFFIXES", "Rate", "TimedFrame", "VideoError", "VideoReader", "is_video"]

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".gif",
    ".mts", ".m2ts", ".ts", ".vob", ".mpe", ".3gp", ".3g2", ".ogv", ".asf", ".divx",
)  # fmt: skip
# MPEG-TS and PS list no keyframes: one lands at any packet, and nothing is seen before the next keyframe. So one goes
# back, so many seconds before the time sought, until what comes first is not behind it.
_BACK_S = (0.0, 1.0, 4.0, 16.0, 64.0, math.inf)
_MAX_IN_VAIN = 10_000  # packets in a row without a frame


class VideoReader(Video):
    """A video file, decoded with PyAV. Raises VideoError (a ValueError) that names file and remedy where it is none.

    `estimated_frames` is the number by which runs draw frames, and always did: where the times of a file rise, that
    by FFmpeg's estimate of its length, even where `num_frames` was counted.
    """

    def __init__(self, path: str | Path, *, max_bad_share: float = MAX_BAD_SHARE, takes_cut: bool = False) -> None:
        super().__init__(path, max_bad_share=max_bad_share, takes_cut=takes_cut)
        self._logged: set[str] = set()
        with self._open() as (container, stream):
            self.fps = rate_of(stream)
            self.num_frames = count_frames(container, stream, self.fps, num_bytes=self.path.stat().st_size)
            self.length_s = length_of(container, stream)
            self.has_audio = audio_track(container) is not None
            has_no_rate = not stream.average_rate
            is_unsure = may_be_joined(container) or self.num_frames is None
            display = Display(stream, self.path, logged=self._logged)
            packets = display.collect_alpha(self._packets(container, stream))
            first = next(display.deinterlace_frames(self._decode(packets, container, stream, is_complete=True)), None)
            if first is None:
                raise self._error(f"none of its frames can be decoded, or all are too large ({PIXELS_VARIABLE})")
            self.height, self.width = display.pixels(first).shape[:2]
        self._can_seek, self.estimated_frames, self._has_mean_rate = True, self.num_frames, False
        if is_unsure or has_no_rate:
            self._survey(rate_alone=not is_unsure)

    def _survey(self, *, rate_alone: bool) -> None:
        """Read all packets, for a file whose header lacks the rate or the length, or gives its first part's alone."""
        with self._open() as (container, stream):
            result = survey(container, stream)
        self._has_mean_rate = result.fps is not None
        if rate_alone and not self._has_mean_rate:
            return
        self.fps = result.fps or self.fps
        self._can_seek = result.rises
        if result.num_frames:
            if not result.rises or self.estimated_frames is None or self._has_mean_rate:
                self.estimated_frames = result.num_frames
            self.num_frames = result.num_frames
            if not rate_alone or self.length_s is None:
                self.length_s = result.length_s

    def _from_keyframe(
        self, time_s: float, *, beyond_s: float | None = None, checked: bool = True
    ) -> Iterator[TimedFrame]:
        sought = time_s > 0 and self._can_seek
        if beyond_s is not None and not sought:
            return
        for back_s in _BACK_S:
            self.bad_frames = self._missing_frames = 0
            with self._open() as (container, stream):
                start = start_of(container, stream)
                is_placed = sought and self._seek(container, time_s, start, back_s=back_s)
                packets = self._packets(container, stream)
                if beyond_s is not None:
                    packet = next(packets, None)
                    place_s = None if packet is None else packet_time(packet, presentation=True)
                    if packet is None or place_s is None or place_s - float(start) <= beyond_s:
                        return
                    packets = chain([packet], packets)
                display = Display(stream, self.path, logged=self._logged)
                packets = display.collect_alpha(packets)
                frames = display.deinterlace_frames(self._decode(packets, container, stream, is_complete=not sought))
                first = next(frames, None)
                if is_placed and _is_late(first, time_s, start):
                    continue
                step_s = 1 / float(self.fps)
                clock = RisingClock(step_s, from_s=time_s if sought else None, leaps=may_be_joined(container))
                good = 0
                for frame in frames if first is None else chain([first], frames):
                    time = clock(frame_time(frame, start))
                    number = round(time / step_s) if sought else good
                    hold_s = step_s if self._has_mean_rate else hold_of(frame, unknown_s=step_s)
                    yield TimedFrame(number, time, display.pixels(frame), hold_s)
                    good += 1
                if not sought and checked:
                    self._check_share(good)
                return

    def _seek(self, container: Any, time_s: float, start: Fraction, *, back_s: float) -> bool:
        """Seek to `back_s` before a time, or before the end where that is sooner; False at the start."""
        place_s = min(time_s, self.length_s or time_s) - back_s if back_s else time_s
        if place_s <= 0:
            return False
        try:
            container.seek(round((place_s + start) * av.time_base))
        except FFmpegError:  # a file that cannot be sought in is read from its start
            return False
        return True

    def _decode(self, packets: Iterable[Any], container: Any, stream: Any, *, is_complete: bool) -> Iterator[Any]:
        """Undamaged frames; counts the damaged ones and, with `is_complete`, those missing from the file."""
        good = came = hidden = in_vain = 0
        last_dts = None
        self._reached_end = False
        for packet in packets:
            came += packet.size > 0
            hidden += packet.is_discard
            last_dts = packet.dts if packet.size else last_dts
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
        self._reached_end = is_last(container, stream, last_dts)
        promised = num_packets(container, stream, self.fps) if is_complete else None
        if promised is not None:
            self._missing_frames = max(0, max(promised, came) - hidden - good - self.bad_frames)
            self.bad_frames += self._missing_frames

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        try:
            yield from container.demux(stream)
        except FFmpegError as error:
            logger.warning("%s breaks off: %s", printable(str(self.path)), error.strerror)
            self.bad_frames += 1

    @contextmanager
    def _open(self) -> Iterator[tuple[Any, Any]]:
        try:
            with reading(self.path, "video", remedy=""), open_media(self.path) as container:
                stream = video_track(container)
                if stream is None:
                    raise self._error(NO_TRACK)
                if stream.codec_context is None:
                    raise self._error("how its frames are compressed is not known here")
                limit_decoder(stream)
                yield container, stream
        except VideoError:
            raise
        except BadFileError as error:
            cause = error.__cause__ or error
            raise self._error(_reason(self.path, cause)) from cause


def is_video(path: Path) -> bool:
    """Whether the name ends in one of `VIDEO_SUFFIXES`, in upper or lower case."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def _is_late(first: Any, time_s: float, start: Fraction) -> bool:
    """Whether the first frame after seeking is later than the time sought, or missing."""
    if first is None:
        return True
    shown_s = frame_time(first, start)
    return shown_s is not None and not shown_s <= time_s + 1e-3  # time stamps are rounded


def _reason(path: Path, error: BaseException) -> str:
    if not path.exists():
        return "there is no such file"
    if path.is_file() and path.stat().st_size == 0:
        return EMPTY
    if isinstance(error, TooLargeFramesError):
        return f"{error} (set {PIXELS_VARIABLE} to allow more)"
    # An ArgumentError: FFmpeg takes it for a kind of file that is not among those allowed.
    if isinstance(error, (av.error.InvalidDataError, av.error.ArgumentError)):
        return UNKNOWN
    return media_reason(error)
