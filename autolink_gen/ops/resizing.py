"""Images at another size, and square ones made of others, with the way back to the whole image."""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from autolink_gen.common.devices import to_device
from autolink_gen.ops.precision import single


class Squares(NamedTuple):
    """Square images, and what leads from their own (x, y) to those of the whole images: times scale, plus shift."""

    images: Float[Tensor, "B 3 S S"]
    scale: Float[Tensor, "2"]
    shift: Float[Tensor, "2"]

    def in_whole(self, points: Float[Tensor, "B K 2"]) -> Float[Tensor, "B K 2"]:
        """Points of the squares in the whole images; their device is not waited for."""
        scale, shift = (to_device(values.to(points.dtype), points.device) for values in (self.scale, self.shift))
        return points * scale + shift


def fit_square(
    images: Float[Tensor, "B 3 H W"], *, fit: Literal["crop", "pad", "stretch"], size: int, span_size: int | None = None
) -> Squares:
    """Images in [0, 1] made square, ``size`` pixels wide: the middle, the whole between grey bars, or stretched.

    The (x, y) of a square go from -1 to 1 between the centres of the outer pixels of an image ``span_size`` pixels
    wide, ``size`` unless given.
    """
    height, width = images.shape[-2:]
    side = {"crop": min(height, width), "pad": max(height, width)}.get(fit)
    side_x, side_y = (side, side) if side is not None else (width, height)
    left, top = (width - side_x) // 2, (height - side_y) // 2
    if (side_x, side_y) != (width, height):
        images = F.pad(images, (-left, side_x - width + left, -top, side_y - height + top), value=0.5)
    span = span_size or size
    scales, shifts = zip(_to_whole(span, side_x, left, width), _to_whole(span, side_y, top, height), strict=True)
    return Squares(resize(images, size), torch.tensor(scales), torch.tensor(shifts))


def resize(images: Float[Tensor, "B C H W"], size: int) -> Float[Tensor, "B C size size"]:
    """Images at another size, or as they are where they have it."""
    if images.shape[-2:] == (size, size):
        return images
    # In half precision there is no such interpolation on a CPU.
    enlarged = F.interpolate(single(images), (size, size), mode="bilinear", antialias=True, align_corners=False)
    return enlarged.to(images.dtype)


def _to_whole(size: int, side_px: int, start_px: int, whole_px: int) -> tuple[float, float]:
    """Scale and shift of one axis: from ``size`` pixels, made of ``side_px`` from ``start_px`` on, to all ``whole_px``.

    Both ends are in [-1, 1] between the centres of the outer pixels, while resizing lines up the pixels' borders.
    """
    ratio = side_px / size
    middle_px = start_px + (size / 2) * ratio - 0.5
    return (size - 1) * ratio / max(1, whole_px - 1), 2 * middle_px / max(1, whole_px - 1) - 1
