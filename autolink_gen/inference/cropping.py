"""Square crops found from keypoints, and painted squares pasted back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image

from autolink_gen.inference.motion import spread

Detect = Callable[[Sequence[UInt8[ndarray, "S S 3"]]], Float[ndarray, "N K 2"]]
_ROUNDS = 3
_LEAST_SIDE = 0.1  # of the shorter side of the image: no crop is smaller
_STRIP_PX = 1_000_000  # so many pixels are put back at a time: in floats each takes some 80 bytes
_FEATHER = 0.08  # of the side: how wide the seam of an image put back is


@dataclass(frozen=True)
class Crop:
    """A square of an image, in pixels.

    It may extend past the image, where the border's pixels are repeated.
    """

    left: int
    top: int
    side: int

    def take(self, pixels: UInt8[ndarray, "H W 3"]) -> UInt8[ndarray, "S S 3"]:
        """The pixels of the square."""
        height, width = pixels.shape[:2]
        rows = np.clip(np.arange(self.top, self.top + self.side), 0, height - 1)
        columns = np.clip(np.arange(self.left, self.left + self.side), 0, width - 1)
        return pixels[rows[:, None], columns]

    def put_back(self, painted: UInt8[ndarray, "S S 3"], pixels: UInt8[ndarray, "H W 3"]) -> UInt8[ndarray, "H W 3"]:
        """A copy of the image with the painted square in the crop's place and a soft seam."""
        square = np.asarray(Image.fromarray(painted).resize((self.side, self.side), Image.Resampling.BICUBIC))
        height, width = pixels.shape[:2]
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.side, height), min(self.left + self.side, width)
        columns = slice(left - self.left, right - self.left)
        ramp = self._ramp()
        result = pixels.copy()
        rows = max(1, _STRIP_PX // max(1, right - left))
        for start in range(top, bottom, rows):
            end = min(start + rows, bottom)
            inside = slice(start - self.top, end - self.top)
            share = np.minimum(ramp[inside, None], ramp[columns])[..., None]
            under = result[start:end, left:right]
            mixed = share * square[inside, columns] + (1 - share) * under
            result[start:end, left:right] = mixed.round().astype(np.uint8)
        return result

    def _ramp(self) -> Float[ndarray, " S"]:
        """1 inside, falling to 0 at the crop's border."""
        place = np.arange(self.side) + 0.5
        return np.clip(np.minimum(place, self.side - place) / max(1.0, _FEATHER * self.side), 0, 1)


def middle_square(pixels: UInt8[ndarray, "H W 3"]) -> Crop:
    """The largest square in the middle of an image."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    return Crop((width - side) // 2, (height - side) // 2, side)


def find_crop(images: Sequence[UInt8[ndarray, "H W 3"]], detect: Detect, usual: Float[ndarray, "N K 2"]) -> Crop:
    """The crop of a clip in which the object lies as in the ``usual`` poses.

    ``images`` are frames of one size. ``detect`` finds keypoints (x, y) in [-1, 1] in squares of any size. The search
    starts with the middle square and is repeated in the crop found, three times; the median over the images counts.
    The crop never extends past the image. If no pose is finite, it is the middle square.
    """
    crop = middle_square(images[0])
    if not len(usual):
        return crop
    usual_centre = usual.mean(axis=(0, 1))
    usual_spread = float(np.median([spread(pose) for pose in usual]))
    height, width = images[0].shape[:2]
    shorter = min(height, width)
    for _ in range(_ROUNDS):
        keypoints = detect([crop.take(pixels) for pixels in images])
        poses = [pose for pose in keypoints if np.isfinite(pose).all() and spread(pose) > 0]
        if not poses:
            return crop
        factor = float(np.median([spread(pose) for pose in poses])) / usual_spread
        centre = np.median([pose.mean(axis=0) for pose in poses], axis=0)
        side = float(np.clip(crop.side * factor, _LEAST_SIDE * shorter, shorter))
        middle_px = np.array([crop.left, crop.top]) + (centre + 1) / 2 * crop.side
        corner = np.clip(middle_px - (usual_centre + 1) / 2 * side, 0, np.array([width, height]) - side)
        crop = Crop(round(corner[0]), round(corner[1]), round(side))
    return crop
