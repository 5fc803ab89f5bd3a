"""Range checks of users' images and keypoints, and conversions between ranges."""

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

FARTHEST = 32.0  # of half the image's width from its middle: what lies farther is in pixels
_SLACK = 0.1  # enlarging by bicubic interpolation leads so far out of the range


def unit_images(images: object, *, name: str = "images") -> Float[Tensor, "..."]:
    """Images in [0, 1] as floats: floats as they are, uint8 divided by 255.

    One look at the smallest and the largest value, for which the device is waited for. Raises ValueError for what is
    no tensor, for other types, and for values that are no numbers or lie outside [0, 1] by more than a tenth.
    """
    if not isinstance(images, Tensor):
        raise ValueError(
            f"{name} must be a tensor, got {type(images).__name__}; of an array (H, W, 3) make one with "
            f"torch.from_numpy(array).permute(2, 0, 1)"
        )
    if images.dtype == torch.uint8:
        return images.float() / 255
    if not images.is_floating_point():
        raise ValueError(f"{name} must be floats in [0, 1], or uint8, got {images.dtype}; divide by the largest value")
    if images.numel():
        _check_unit(images, name)
    return images.float() if images.dtype == torch.half else images  # which a CPU resizes at some sizes alone


def to_signed(images: Float[Tensor, "*batch 3 H W"]) -> Float[Tensor, "*batch 3 H W"]:
    """Images in [0, 1] as networks take them, in [-1, 1]; bytes divided by 255 lose nothing.

    >>> to_signed(torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1)).flatten().tolist()
    [-1.0, 0.0, 1.0]
    """
    return images * 2 - 1


def from_signed(images: Float[Tensor, "*batch 3 H W"]) -> Float[Tensor, "*batch 3 H W"]:
    """Images about in [-1, 1], as networks give them, in about [0, 1].

    >>> from_signed(torch.tensor([-1.0, 0.0, 1.5]).view(3, 1, 1)).flatten().tolist()
    [0.0, 0.5, 1.25]
    """
    return (images + 1) / 2


def _check_unit(images: Tensor, name: str) -> None:
    low, high = torch.stack(torch.aminmax(images.detach())).tolist()
    if low >= -_SLACK and high <= 1 + _SLACK:  # written so that NaN does not pass
        return
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        raise ValueError(f"{name} hold values that are no finite numbers; mend or leave out those images")
    if high > 4:
        remedy = "divide by 255, or give them as uint8"
    elif low >= -1 - _SLACK and high <= 1 + _SLACK:
        remedy = "images in [-1, 1] become so by (images + 1) / 2"
    else:
        remedy = "take any mean and deviation back, or clamp(0, 1)"
    raise ValueError(f"{name} must lie in [0, 1], got values from {low:.4g} to {high:.4g}; {remedy}")


def check_bytes(image: ndarray, *, name: str = "image") -> None:
    """ValueError for an image that is no array of uint8."""
    kind = image.dtype if isinstance(image, ndarray) else type(image).__name__
    if kind != np.uint8:
        raise ValueError(
            f"{name} must be a uint8 array, got {kind}; floats in [0, 1] become so by "
            f"(255 * {name}).round().astype(np.uint8)"
        )


def check_keypoints(keypoints: Float[Tensor, "*batch 2"], *, name: str = "keypoints") -> None:
    """ValueError for keypoints that are no finite numbers, or so far out of [-1, 1] that they must be in pixels.

    Some may lie outside of the image, where they were moved. The device is waited for.
    """
    if not keypoints.numel():
        return
    worst = float(keypoints.detach().abs().max())
    if worst <= FARTHEST:
        return
    if not worst < float("inf"):
        raise ValueError(f"{name} hold values that are no finite numbers; mend or leave out those poses")
    raise ValueError(
        f"{name} must be (x, y) in [-1, 1], got {worst:.4g}; pixels become so by 2 * x / (width - 1) - 1, and y alike"
    )


def check_edge_weights(edge_weights: Float[Tensor, "K K"], *, name: str = "edge_weights") -> None:
    """ValueError for edge weights that are negative or no finite numbers. The device is waited for."""
    low, high = torch.stack(torch.aminmax(edge_weights.detach())).tolist()
    if not (low >= 0 and high < float("inf")):
        raise ValueError(
            f"{name} must be finite and 0 or more, got values from {low:.4g} to {high:.4g}; give those that "
            f"graph.edge_weights has, or 0 where no edge shall be"
        )
