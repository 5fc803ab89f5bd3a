"""The times of a video's frames: rate, length, and time stamps made to rise."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

import av

_UNKNOWN_FPS = Fraction(25)
_MAX_FPS = 1000
_MOST_ABOVE_MEAN = Fraction(3, 2)  # times the mean rate: what is guessed and higher is none
_MAX_GAP_S = 8 * 3600  # between frames: a longer one is a damaged time stamp, and no file can hold it
_FALL_S = 1.0  # times that fall by less are out of order, by more begin anew
_LEAP_S, _LEAP_STEPS = 10.0, 5  # times of a transmission that leap further begin anew
_MAX_COUNTED = 200_000  # entries of an index that are looked at one by one
# Kinds of file that are cut and joined byte by byte: their times may begin anew, and the length said is one part's.
_JOINED_FORMATS = ("mpeg", "mpegts", "mpegvideo", "m4v", "h264", "hevc", "flv", "ogg")


class RisingClock:
    """Makes the times of one track's frames or packets rise, given in their order, in seconds.

    Where they begin anew (joined videos, a recorder that was stopped), the video goes on one `step_s` after the last,
    and so does all that follows; a time that is unknown, out of order or absurd alone is put one step after the last.
    The first one is expected at `from_s`; unless that is given, none is below 0. `offset_s` is what is added at
    present, `joints` how often they began anew, `is_even` whether all were as the file says.
    """

    def __init__(self, step_s: float, *, from_s: float | None = None, leaps: bool = False) -> None:
        self.step_s, self.offset_s, self.joints, self.is_even = step_s, 0.0, 0, True
        self._last: float | None = None
        self._expected, self._pushed = from_s, False
        self._max_leap = max(_LEAP_S, _LEAP_STEPS * step_s) if leaps else _MAX_GAP_S

    def __call__(self, time_s: float | None) -> float:
        """The time of the next frame; `time_s` is None where the file says none."""
        time = self._first(time_s) if self._last is None else self._after(self._last, time_s)
        self._pushed = self._last is not None and (time_s is None or time != time_s + self.offset_s)
        self.is_even &= not self._pushed
        self._last = time
        return time

    def _after(self, last: float, time_s: float | None) -> float:
        following = last + self.step_s
        if time_s is None or abs(time_s + self.offset_s - last) > _MAX_GAP_S:
            return following
        time = time_s + self.offset_s
        if not last - _FALL_S < time <= last + self._max_leap:
            self.offset_s, self.joints, self.is_even = following - time_s, self.joints + 1, False
            return following
        if time <= last:  # half a step at first: after one doubled time the next is right again
            return following if self._pushed else last + self.step_s / 2
        return time

    def _first(self, time_s: float | None) -> float:
        expected = self._expected or 0.0
        if time_s is None or abs(time_s - expected) > _MAX_GAP_S:
            return expected + (self.step_s if expected else 0.0)
        if self._expected is None and time_s < 0:  # before the start that the file says
            self.offset_s = -time_s
            return 0.0
        return time_s


@dataclass(frozen=True)
class Survey:
    """Facts from a track's packets, without decoding: frames shown, length, whether times rise.

    `fps` is their mean rate where the file says none and what is guessed is none; None elsewhere.
    """

    num_frames: int
    length_s: float
    rises: bool
    fps: Fraction | None = None


def survey(container: Any, stream: Any) -> Survey:
    """Read all packets of a track of a file just opened, up to any damage."""
    step_s, start_s = float(1 / rate_of(stream)), float(start_of(container, stream))
    clock = RisingClock(step_s, from_s=0.0, leaps=may_be_joined(container))
    count, first, last = 0, None, 0.0
    for packet in _packets_until_damage(container, stream):
        if not packet.size:
            continue
        time_s = packet_time(packet)
        last = clock(None if time_s is None else time_s - start_s)
        first = last if first is None else first
        count += not packet.is_discard
    span_s = 0.0 if first is None else last - first
    fps = _mean_rate(stream, count, span_s)
    length_s = 0.0 if first is None else span_s + (step_s if fps is None else float(1 / fps))
    return Survey(count, length_s, clock.is_even, fps)


def _mean_rate(stream: Any, count: int, span_s: float) -> Fraction | None:
    """The mean rate of `count` frames over `span_s` seconds, where the file, as WMV does, says none.

    What is guessed then is one by which all times are even: of uneven ones that is how often the clock ticks.
    """
    if stream.average_rate or count < 2 or span_s <= 0:
        return None
    rate = Fraction((count - 1) / span_s).limit_denominator(1001)
    return rate if 0 < rate < rate_of(stream) / _MOST_ABOVE_MEAN else None


def _packets_until_damage(container: Any, stream: Any) -> Iterator[Any]:
    most = max(container.size, 0) + 1  # each takes a byte at least: a damaged file may be gone round for ever
    try:
        yield from islice(container.demux(stream), most)
    except av.error.FFmpegError:
        return


def packet_time(packet: Any, *, presentation: bool = False) -> float | None:
    """A packet's decoding time, or presentation time, in seconds by the file's clock; the other if it alone is known.

    None where it says neither.
    """
    first, second = (packet.pts, packet.dts) if presentation else (packet.dts, packet.pts)
    ticks = second if first is None else first
    return None if ticks is None or not packet.time_base else float(ticks * packet.time_base)


def frame_time(frame: Any, start: Fraction) -> float | None:
    """When a frame is shown, in seconds from the start of the file; None where it is not known."""
    if frame.pts is None or not frame.time_base:
        return None
    return float(frame.pts * frame.time_base - start)


def hold_of(frame: Any, *, unknown_s: float) -> float:
    """How long a frame is shown, in seconds; `unknown_s` where the file says nothing credible."""
    ticks = getattr(frame, "duration", None)
    hold_s = float(ticks * frame.time_base) if ticks and frame.time_base else 0.0
    return hold_s if 0 < hold_s <= _MAX_GAP_S else unknown_s


def may_be_joined(container: Any) -> bool:
    """Whether files of this kind are cut and joined byte by byte, so that times may begin anew."""
    return container.format.name in _JOINED_FORMATS


def start_of(container: Any, stream: Any) -> Fraction:
    """The file's first time in seconds, from which all tracks' times are counted."""
    if container.start_time is not None:
        return Fraction(container.start_time, av.time_base)
    return (stream.start_time or 0) * (stream.time_base or Fraction(0))


def rate_of(stream: Any) -> Fraction:
    """The frames a second that a stream says, as far as it is credible."""
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return next((rate for rate in rates if rate and 0 < rate <= _MAX_FPS), _UNKNOWN_FPS)


def length_of(container: Any, stream: Any) -> float | None:
    """The seconds that a file says the track is shown, an edit list obeyed; None where it says nothing credible."""
    if stream.duration and stream.duration > 0 and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration and container.duration > 0 else None


def count_frames(container: Any, stream: Any, fps: Fraction, *, num_bytes: int) -> int | None:
    """The number of frames shown, by the file's count or its length; no more than it has bytes.

    An index lists hidden ones too, of a video trimmed on a telephone: these do not count.
    """
    length_s = length_of(container, stream)
    by_length = 0 if length_s is None else round(length_s * fps)
    count = stream.frames
    if count <= 0:
        count = by_length
    elif "mp4" in container.format.name:
        listed = index_of(stream)
        if listed is not None and 0 < len(listed) <= _MAX_COUNTED:
            count = sum(not entry.is_discard for entry in listed)
        elif by_length:
            count = min(count, by_length)
    return min(count, num_bytes) if count > 0 else None


def index_of(stream: Any) -> Any | None:
    """The index of a file, hidden frames included; None where PyAV is too old."""
    return getattr(stream, "index_entries", None)


def is_last(container: Any, stream: Any, dts: int | None) -> bool:
    """Whether an MP4 or MOV lists no frame after the one that is decoded at `dts`; False for other files."""
    listed = index_of(stream) if "mp4" in container.format.name else None
    return listed is not None and len(listed) > 0 and dts is not None and dts >= listed[len(listed) - 1].timestamp


def num_packets(container: Any, stream: Any, fps: Fraction) -> int | None:
    """The number of packets of a complete MP4 or MOV; None for other files, which do not say."""
    if "mp4" not in container.format.name or stream.frames <= 0:
        return None
    listed, length_s = index_of(stream), length_of(container, stream)
    if listed is not None:
        return len(listed)
    return stream.frames if length_s is None else min(stream.frames, round(length_s * fps))
