"""Keypoints (x, y) in [-1, 1] as pixels, and back; arrays and tensors alike.

In pixels, (0, 0) is the centre of the first pixel and (width - 1, height - 1) that of the last, at -1 and 1. `size` is
(width, height) in pixels, or the side of a square image. Points have any leading sizes and (x, y) last.
"""

from typing import TypeVar

import numpy as np
from numpy import ndarray
from torch import Tensor

Points = TypeVar("Points", Tensor, ndarray)
Size = int | tuple[int, int]


def to_pixels(keypoints: Points, *, size: Size) -> Points:
    """Keypoints in [-1, 1] as pixels.

    >>> to_pixels(np.array([[-1.0, -1.0], [0.0, 0.5], [1.0, 1.0]]), size=(101, 41)).tolist()
    [[0.0, 0.0], [50.0, 30.0], [100.0, 40.0]]
    """
    return (keypoints + 1) / 2 * _last(keypoints, size)


def from_pixels(points_px: Points, *, size: Size) -> Points:
    """Pixels as keypoints in [-1, 1]: the inverse of :func:`to_pixels`; a side of one pixel has its centre at -1."""
    return points_px / _last(points_px, size, least=1) * 2 - 1


def enlarge_pixels(points_px: Points, factor: int | Points) -> Points:
    """The same points in an image enlarged by a whole factor, for each axis or for both.

    Each pixel becomes `factor` finer ones a side, and its centre lies in the middle of them.

    >>> enlarge_pixels(np.array([0.0, 10.0]), 4).tolist()
    [1.5, 41.5]
    """
    return (points_px + 0.5) * factor - 0.5


def to_fractions(keypoints: Points, *, size: int) -> Points:
    """Keypoints in [-1, 1] of a square image as fractions of its sides, from border to border."""
    return (to_pixels(keypoints, size=size) + 0.5) / size


def _last(points: Points, size: Size, *, least: int = 0) -> int | Points:
    """The centre of the last pixel, along either axis; a plain number for a square, which no device waits for."""
    if isinstance(size, int):
        return max(size - 1, least)
    last = [max(side - 1, least) for side in size]
    return points.new_tensor(last) if isinstance(points, Tensor) else np.array(last)
