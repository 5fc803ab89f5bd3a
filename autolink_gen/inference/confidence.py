"""Whether a frame shows the object: how sure the detector is of a pose."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from autolink_gen.inference.motion import spread

# On the way from the usual width of heatmaps to that of one that says nothing. Measured on puppets, moved out of the
# image or faded to black: keypoints are off by 5 % of the width where heatmaps are so wide as SURE allows, and by
# 10 % at LOST. On puppets in full sight 19 of 20 are within SURE, and all within LOST.
_NOTHING = (2 / 3) ** 0.5
_SURE, _LOST = 0.18, 0.36
_LEAST_STEP = 0.05  # for detectors that are never sure
_OTHER_IMAGES = 0.1  # of that way: so much wider they may be on others than the source
_BLANK = 2.0  # of 255: a standard deviation below it is an image of one colour
_MIN_SHARE = 0.25  # of the usual spread of a pose


class Certainty(IntEnum):
    """How reliable a pose is.

    LOST: not at all. UNSURE: good enough for this frame. SURE: good enough to start from and to hold.
    """

    LOST = 0
    UNSURE = 1
    SURE = 2


class PosesWithWidths(NamedTuple):
    """Keypoints (N, K, 2) of N images, and the mean width (N) of the linked ones' heatmaps."""

    keypoints: Float[ndarray, "N K 2"]
    widths: Float[ndarray, " N"]


def is_blank(pixels: UInt8[ndarray, "_ _ 3"]) -> bool:
    """Whether an image has only one colour, and so shows no object."""
    return bool(pixels[::2, ::2].std(axis=(0, 1)).max() < _BLANK)


def usual_width(source: Sequence[float] | ndarray, driver: Sequence[float] | ndarray | None = None) -> float:
    """The usual width of heatmaps, from the source and some frames of the driver.

    Of the driver the second smallest width counts, since the object may be absent from many frames.
    """
    source_width = float(np.median(source))
    if driver is None or not len(driver):
        return source_width + _OTHER_IMAGES * max(0.0, _NOTHING - source_width)
    return max(source_width, float(np.sort(driver)[min(1, len(driver) - 1)]))


class Judge:
    """Rates poses by the width of their heatmaps and by the spread of their keypoints.

    ``usual`` is the usual width of heatmaps, ``poses`` (N, K, 2) are some of the training poses.
    """

    def __init__(self, poses: Float[ndarray, "N K 2"], linked: ndarray, *, usual: float) -> None:
        self._linked = linked
        step = max(_LEAST_STEP, _SURE * (_NOTHING - usual))
        self._sure, self._lost = usual + step, usual + step * _LOST / _SURE
        self._usual_spread = float(np.median([spread(pose[linked]) for pose in poses] or [0.0]))

    def __call__(self, keypoints: Float[ndarray, "K 2"], *, width: float, pixels: UInt8[ndarray, "_ _ 3"]) -> Certainty:
        """The certainty of one frame's pose.

        A pose is lost on a frame of one colour, if it is not finite or much smaller than the training poses, or if the
        heatmaps are much wider than usual.
        """
        points = keypoints[self._linked]
        is_plausible = np.isfinite(points).all() and spread(points) >= _MIN_SHARE * self._usual_spread
        if not is_plausible or not width <= self._lost or is_blank(pixels):
            return Certainty.LOST
        return Certainty.SURE if width <= self._sure else Certainty.UNSURE
