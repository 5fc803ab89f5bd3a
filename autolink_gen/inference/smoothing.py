"""Smoothing of the poses of a video over time, the same for `detect` and `transfer`."""

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Literal, TypeVar, get_args

import numpy as np

from autolink_gen.common.text import shown
from autolink_gen.inference.motion import OneEuroFilter, Points

Kind = Literal["one-euro", "median"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_MOST = 99  # frames in a window: so many images wait for their poses in memory, half of it
T = TypeVar("T")


@dataclass(frozen=True)
class Smoothing:
    """How poses are smoothed: by a one-euro filter, or by the median over ``window`` frames around each.

    The one-euro filter looks back alone and lags a little; the median does not lag, drops jumps of less than half its
    window, and is made of fewer frames at both ends. Raises ValueError for a window that is even or not of 3 to 99.
    """

    kind: Kind = "one-euro"
    window: int = 5

    def __post_init__(self) -> None:
        if self.window % 2 == 0 or not 3 <= self.window <= _MOST:
            raise ValueError(f"smooth: a median over {shown(self.window)} frames; take an odd number from 3 to {_MOST}")

    @classmethod
    def parse(cls, value: "Smoothing | str | bool | None") -> "Smoothing | None":
        """The smoothing that is meant by "one-euro", "median", "median:9" or True; None for None and False.

        Raises ValueError for anything else.
        """
        if isinstance(value, Smoothing | None):
            return value
        if isinstance(value, bool):
            return cls() if value else None
        name, colon, window = value.partition(":")
        if name == "median" and colon and window.isascii() and window.isdigit():
            return cls("median", int(window[:9]))
        if value not in KINDS:
            raise ValueError(f"smooth: there is no smoothing {shown(value)!r}; take one-euro, median or median:9")
        return cls("median") if value == "median" else cls()


class Smoother(Generic[T]):
    """Smooths the poses of a video's frames in turn; what belongs to a frame comes out with its pose.

    A frame whose pose is None has none: it comes out so in its turn, and counts for no other. Without a ``smoothing``
    poses come out as they are.
    """

    def __init__(self, smoothing: Smoothing | None) -> None:
        self._filter = OneEuroFilter() if smoothing and smoothing.kind == "one-euro" else None
        self._reach = smoothing.window // 2 if smoothing and smoothing.kind == "median" else 0
        self._poses: deque[Points | None] = deque()  # of the frames that wait, and of some before them
        self._num_before = 0
        self._waiting: deque[T] = deque()

    def push(self, pose: Points | None, item: T, *, time_s: float) -> list[tuple[Points | None, T]]:
        """Take the next frame's pose; the frames, this or earlier ones, whose poses are known now."""
        if pose is not None and self._filter is not None:
            pose = self._filter(pose, time_s=time_s)
        self._poses.append(pose)
        self._waiting.append(item)
        return self._known(num_ahead=self._reach)

    def finish(self) -> list[tuple[Points | None, T]]:
        """The frames that wait for others, where none come any more."""
        return self._known(num_ahead=0)

    def _known(self, *, num_ahead: int) -> list[tuple[Points | None, T]]:
        known: list[tuple[Points | None, T]] = []
        while len(self._waiting) > num_ahead:
            known.append((self._median(), self._waiting.popleft()))
            self._num_before += 1
            if self._num_before > self._reach:
                self._poses.popleft()
                self._num_before -= 1
        return known

    def _median(self) -> Points | None:
        """The next frame's pose: the median over as many frames before it as after it."""
        here = self._num_before
        pose, reach = self._poses[here], min(self._reach, here, len(self._poses) - 1 - here)
        if pose is None or not reach:
            return pose
        window = [near for near in islice(self._poses, here - reach, here + reach + 1) if near is not None]
        return np.median(window, axis=0)
