"""Transfer of motion from one set of keypoints to another: relative, scaled, smoothed."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

Points = Float[ndarray, "K 2"]
_MIN_SPREAD = 1e-6


def spread(keypoints: Points) -> float:
    """The root mean squared distance of keypoints from their centre."""
    return float(np.sqrt(((keypoints - keypoints.mean(axis=0)) ** 2).sum(axis=1).mean()))


def pose_distance(first: Points, second: Points) -> float:
    """The mean distance of keypoints once both sets are centred and scaled to one spread."""
    shapes = [(points - points.mean(axis=0)) / max(spread(points), _MIN_SPREAD) for points in (first, second)]
    return float(np.linalg.norm(shapes[0] - shapes[1], axis=1).mean())


@dataclass(frozen=True)
class RelativeMotion:
    """Adds the driver's movement since a reference frame to the source's pose.

    ``source`` and ``reference`` are keypoints (x, y) of the source and of the driver's reference frame, in which the
    two should be in one pose. ``adapt_scale`` scales the movement by the ratio of their sizes.
    """

    source: Points
    reference: Points
    adapt_scale: bool = False

    def __call__(self, keypoints: Points) -> Points:
        """The source's keypoints in the driver's pose."""
        scale = spread(self.source) / max(spread(self.reference), _MIN_SPREAD) if self.adapt_scale else 1.0
        return self.source + scale * (keypoints - self.reference)


def absolute_motion(keypoints: Points, *, source: Points, reference: Points, adapt_scale: bool) -> Points:
    """The driver's keypoints; with ``adapt_scale`` moved and scaled to fit the source.

    The fit makes the centre and the spread of the reference frame those of the source.
    """
    if not adapt_scale:
        return keypoints
    scale = spread(source) / max(spread(reference), _MIN_SPREAD)
    return source.mean(axis=0) + scale * (keypoints - reference.mean(axis=0))


class OneEuroFilter:
    """The one-euro filter: smooths keypoints less the faster they move (Casiez et al. 2012).

    ``min_cutoff`` in Hz: the lower, the smoother at rest; ``beta``: the higher, the less it lags in fast
    movement, whose speed is in the units of the keypoints a second.
    """

    def __init__(self, *, min_cutoff: float = 1.0, beta: float = 1.0, speed_cutoff: float = 1.0) -> None:
        for name, value in (("min_cutoff", min_cutoff), ("speed_cutoff", speed_cutoff)):
            if not value > 0:
                raise ValueError(f"{name} is {value}; it must be positive")
        if beta < 0:
            raise ValueError(f"beta is {beta}; it must be 0 or more")
        self.min_cutoff, self.beta, self.speed_cutoff = min_cutoff, beta, speed_cutoff
        self._last: ndarray | None = None
        self._speed: ndarray | None = None
        self._time_s = 0.0

    def __call__(self, keypoints: Points, *, time_s: float) -> Points:
        """The smoothed keypoints at a time; ValueError if it lies before the last one."""
        if self._last is None or self._speed is None:
            self._last, self._speed, self._time_s = keypoints.copy(), np.zeros_like(keypoints), time_s
            return keypoints.copy()
        passed_s = time_s - self._time_s
        if passed_s < 0:
            raise ValueError(f"time_s is {time_s} after {self._time_s}; frames must come in their order")
        if passed_s == 0:
            return self._last.copy()
        speed = (keypoints - self._last) / passed_s
        self._speed = self._speed + _share(self.speed_cutoff, passed_s) * (speed - self._speed)
        cutoff = self.min_cutoff + self.beta * np.linalg.norm(self._speed, axis=1, keepdims=True)
        self._last = self._last + _share(cutoff, passed_s) * (keypoints - self._last)
        self._time_s = time_s
        return self._last.copy()


def _share(cutoff: float | ndarray, passed_s: float) -> float | ndarray:
    """The weight of the new value in a first-order low-pass filter after a time."""
    turn = 2 * math.pi * cutoff * passed_s
    return turn / (turn + 1)
