"""Videos as sequences of timed frames, whatever decodes them."""

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from autolink_gen.common.files import BadFileError
from autolink_gen.common.text import printable, typed

logger = logging.getLogger(__name__)

MAX_BAD_SHARE = 0.2
_SHORT = 0.8  # of its length: a video that ends before is not complete
Rate = Fraction | float | int  # frames a second
UNKNOWN = "its content is no video that is known here, or it was cut short"
EMPTY = "the file is empty (0 bytes)"
NO_TRACK = "there is no video track in it"
_WORTH_SEEKING_S = 1.0  # what lies nearer is decoded sooner than a keyframe is looked for


def falls_short(seen_s: float, length_s: float) -> bool:
    """Whether `seen_s` is well below a video's length, which is infinite where it is not known."""
    return length_s < math.inf and seen_s < _SHORT * length_s


def early_end(path: Path, seen_s: float, length_s: float) -> str:
    """A warning where a video of `length_s`, which is infinite where it is not known, ends well before; else empty."""
    if not falls_short(seen_s, length_s):
        return ""
    return f"{printable(str(path))} ends early: {seen_s:.1f} of {length_s:.1f} seconds came; is it whole?"


class VideoError(BadFileError):
    """A video that cannot be read; the message names the file, the reason and the remedy."""


@dataclass(frozen=True)
class TimedFrame:
    """An upright RGB frame, its number among the undamaged from 0, and its time from the file's start.

    `hold_s` is how long the file says that it is shown, 0 where that is not known.
    """

    number: int
    time_s: float
    pixels: UInt8[ndarray, "H W 3"]
    hold_s: float = 0.0


class Video:
    """An iterable of upright frames, uint8 (H, W, 3) RGB, that can be iterated again.

    Reads one frame at a time. `fps` is the mean frame rate, `width` and `height` are pixels of the upright
    frame, `num_frames` is what the file shows by its word or by its length, None where neither is known; what a
    trimmed video hides does not count. Times rise, and go on where those of the file begin anew. `length_s` is how
    long the file says it is, None where it does not; `ends_s` until when the last frame of `timed_frames` is shown.
    `bad_frames` counts the damaged frames that the current or last iteration skipped, those missing from a
    truncated file included; an iteration ends in VideoError where they exceed `max_bad_share` of all. With
    `takes_cut`, those that a file cut short lacks at its end do not count, and `ends_early` tells of them.
    """

    fps: Fraction
    num_frames: int | None
    length_s: float | None
    has_audio: bool
    width: int
    height: int

    def __init__(self, path: str | Path, *, max_bad_share: float = MAX_BAD_SHARE, takes_cut: bool = False) -> None:
        if not 0 <= max_bad_share < 1:
            raise ValueError(f"max_bad_share is {max_bad_share}; it must be at least 0 and below 1")
        self.path = Path(path)
        self.max_bad_share = max_bad_share
        self.takes_cut = takes_cut
        self.bad_frames, self.ends_s = 0, 0.0
        self._reached_end, self._missing_frames = False, 0

    @property
    def ends_early(self) -> str:
        """A warning where the last iteration ended well before the length that the file says; else empty.

        It is judged by time, for frames may be left out; damaged ones count as if they had come.
        """
        seen_s = self.ends_s + self.bad_frames / float(self.fps)
        return early_end(self.path, seen_s, math.inf if self.length_s is None else self.length_s)

    def __iter__(self) -> Iterator[UInt8[ndarray, "H W 3"]]:
        return (frame.pixels for frame in self.timed_frames())

    def timed_frames(
        self, *, fps: Rate | None = None, start_s: float = 0.0, end_s: float = math.inf
    ) -> Iterator[TimedFrame]:
        """The frames from `start_s` to before `end_s`, with their times; at most `fps` a second, where given.

        A start beyond 0 is sought, not read up to.
        """
        if fps is not None and not fps > 0:
            raise ValueError(f"fps is {fps}; it must be positive")
        next_s, self.ends_s = start_s, start_s
        held: TimedFrame | None = None
        for frame in self._from_keyframe(start_s):
            # A thousandth of a second of slack: time stamps are rounded.
            if frame.time_s >= end_s - 1e-3:
                self.ends_s = end_s
                break
            self.ends_s = min(frame.time_s + frame.hold_s, end_s)
            if frame.time_s >= next_s - 1e-3:
                next_s = (math.floor((frame.time_s + 1e-3) * fps) + 1) / fps if fps else next_s
                held = None
                yield self._of_one_size(frame)
            elif next_s == start_s:
                held = frame
        else:
            self.ends_s = min(self._end_after(self.ends_s), end_s)
        if held is not None and self.ends_s > start_s + 1e-3:  # the last frame, still shown at the start
            yield self._of_one_size(replace(held, time_s=start_s))

    def at(self, times_s: Iterable[float]) -> Iterator[TimedFrame]:
        """For each of rising times the first frame at or after it, or the last frame where that is still shown.

        None for a time beyond the end. What lies between is decoded once, or passed over where a keyframe allows it.
        The share of damaged frames is not checked.
        """
        frames: Iterator[TimedFrame] = iter(())
        last: TimedFrame | None = None
        for time_s in times_s:
            if last is None or time_s > last.time_s + _WORTH_SEEKING_S:
                nearer = self._from_keyframe(time_s, beyond_s=None if last is None else last.time_s, checked=False)
                first = next(nearer, None)
                if first is not None:
                    frames, last = nearer, first
            while last is not None and last.time_s < time_s - 1e-3:
                following = next(frames, None)
                if following is None:
                    break
                last = following
            if last is not None and time_s - 1e-3 < max(self._end_after(last.time_s + last.hold_s), last.time_s + 2e-3):
                yield self._of_one_size(last)

    def _end_after(self, end_s: float) -> float:
        """The end of a frame that says it ends at `end_s`: the last frame of a complete file fills its length."""
        return max(end_s, self.length_s) if self._reached_end and self.length_s else end_s

    def _of_one_size(self, frame: TimedFrame) -> TimedFrame:
        """The frame, resized to the size of the first where a video changes in the middle."""
        if frame.pixels.shape[:2] == (self.height, self.width):
            return frame
        resized = Image.fromarray(frame.pixels).resize((self.width, self.height), Image.Resampling.BILINEAR)
        return replace(frame, pixels=np.asarray(resized))

    def from_keyframe(self, time_s: float, *, beyond_s: float | None = None) -> Iterator[TimedFrame]:
        """All frames from the last keyframe at or before a time: those to decode to reach that time.

        Beyond 0, a frame's number is its time in units of 1 / `fps`, and the share of damaged frames is not checked.
        Nothing where that keyframe, or one that cannot be sought, is not beyond `beyond_s`.
        """
        return self._from_keyframe(time_s, beyond_s=beyond_s)

    def _from_keyframe(
        self, time_s: float, *, beyond_s: float | None = None, checked: bool = True
    ) -> Iterator[TimedFrame]:
        """Like `from_keyframe`; with `checked`, a video read to its end must not have too many damaged frames."""
        raise NotImplementedError

    def _check_share(self, good: int) -> None:
        if self.takes_cut and good and self.length_s is not None and falls_short(self.ends_s, self.length_s):
            self.bad_frames -= self._missing_frames
        total = good + self.bad_frames
        if self.bad_frames > self.max_bad_share * total:
            raise self._error(
                f"{self.bad_frames} of its {total} frames are damaged or missing, more than the share "
                f"{self.max_bad_share:g} that is allowed"
            )
        if self.bad_frames:
            logger.warning("%s: skipped %d damaged frames of %d", printable(str(self.path)), self.bad_frames, total)

    def _error(self, reason: str) -> VideoError:
        remedy = f"copy or download it again, convert it (`ffmpeg -i {typed(self.path)} whole.mp4`), or leave it out"
        if reason in (UNKNOWN, EMPTY):  # the first may be a playlist, which another program would follow
            remedy = "leave it out, or copy or download it again"
        elif reason == NO_TRACK:
            remedy = "choose a video, or leave it out"
        return VideoError(f"cannot read the video {printable(str(self.path))}: {reason}; {remedy}")
