"""Users' images (files, PIL images, arrays, tensors), checked and made tensors."""

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from autolink_gen.common.files import reading
from autolink_gen.data.decoding.decoder import upright_rgb
from autolink_gen.data.images import read_image, to_array
from autolink_gen.ops.ranges import unit_images

OneImage = str | PathLike[str] | Image.Image | ndarray | Tensor
Images = OneImage | Sequence[OneImage]
_USUAL_PX = 2**18  # of an image: of larger ones fewer are taken at once
_MAX_SIDE_PX = 16_000
_KINDS = "a path, a PIL image, a uint8 array (H, W, 3), a tensor (3, H, W), or a list of these"


def is_one(images: object) -> bool:
    """Whether one image was handed over by itself, and not a batch or a list."""
    if isinstance(images, ndarray | Tensor):
        return images.ndim == 3
    return isinstance(images, str | PathLike | Image.Image)


def image_batches(images: object, *, batch_size: int = 16) -> Iterator[Shaped[Tensor, "B 3 H W"]]:
    """The images in their order, neighbours of one size and type together; few are in memory at a time.

    ``batch_size`` is their largest number; there are fewer of more than 512x512 pixels. Batches are of uint8,
    or of floats in [0, 1]. Raises ValueError for what is no image.
    """
    batch: list[Tensor] = []
    for image in image_tensors(images):
        if batch and (_differ(batch[0], image) or (len(batch) + 1) * image[0].numel() > batch_size * _USUAL_PX):
            yield torch.stack(batch)
            batch = []
        batch.append(image)
        if len(batch) == batch_size:
            yield torch.stack(batch)
            batch = []
    if batch:
        yield torch.stack(batch)


def image_tensors(images: object) -> Iterator[Shaped[Tensor, "3 H W"]]:
    """Each image by itself, uint8 or floats in [0, 1]. Raises ValueError for what is no image."""
    items = [images] if is_one(images) else images
    if not isinstance(items, Sequence | ndarray | Tensor):
        raise ValueError(f"images must be {_KINDS}, got {type(images).__name__}")
    if isinstance(items, ndarray | Tensor):
        check_shape(items)
    if not len(items):
        raise ValueError(f"images are empty: give at least one of {_KINDS}")
    for number, image in enumerate(items):
        yield _tensor(image, name="images" if is_one(images) else f"images[{number}]")


def to_pixels_of_size(image: Shaped[Tensor, "3 H W"], size: int | None) -> UInt8[ndarray, "h w 3"]:
    """An image, uint8 or floats in [0, 1], as a uint8 array whose longer side has ``size`` pixels, or its own."""
    if size is not None and not 1 <= size <= _MAX_SIDE_PX:
        raise ValueError(f"size is {size}; give the pixels of the longer side, from 1 to {_MAX_SIDE_PX}, or None")
    bytes_ = image if image.dtype == torch.uint8 else (image.detach().float() * 255).round().clamp(0, 255)
    pixels: ndarray = bytes_.to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    if size is None or size == max(pixels.shape[:2]):
        return pixels
    height, width = (max(1, round(side * size / max(pixels.shape[:2]))) for side in pixels.shape[:2])
    return to_array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def _differ(first: Tensor, second: Tensor) -> bool:
    return (first.shape, first.dtype, first.device) != (second.shape, second.dtype, second.device)


def _tensor(image: object, *, name: str) -> Tensor:
    if isinstance(image, Tensor):
        check_shape(image, name=name)
        return image if image.dtype == torch.uint8 else unit_images(image, name=name)
    if isinstance(image, Image.Image):
        image = _pil_pixels(image, name=name)
    elif isinstance(image, str | PathLike):
        image = to_array(read_image(Path(image)))
    elif not isinstance(image, ndarray):
        raise ValueError(f"{name} must be {_KINDS}, got {type(image).__name__}")
    check_shape(image, name=name)
    if image.dtype != np.uint8:
        remedy = f"floats in [0, 1] become so by (255 * {name}).round().astype(np.uint8)"
        raise ValueError(f"{name} must be a uint8 array, got {image.dtype}; {remedy}")
    # A copy: what is read-only, or lies backwards in memory, makes no tensor.
    return torch.from_numpy(np.array(image, order="C")).permute(2, 0, 1)


def _pil_pixels(image: Image.Image, *, name: str) -> UInt8[ndarray, "H W 3"]:
    if image.mode == "F":
        raise ValueError(f"{name} is a PIL image of floats (mode F), whose range is not known; convert it to mode L")
    with reading(name, "image", remedy="its file may be damaged or gone: open it again"):
        return to_array(upright_rgb(image))


def check_shape(images: ndarray | Tensor, *, name: str = "images") -> None:
    """ValueError unless a tensor is (3, H, W) or (B, 3, H, W), or an array (H, W, 3) or (B, H, W, 3)."""
    channels_first = isinstance(images, Tensor)
    shape = tuple(images.shape)
    image_shape = shape[1:] if len(shape) == 4 else shape
    if len(image_shape) == 3 and image_shape[0 if channels_first else 2] == 3 and min(image_shape) >= 1:
        return
    if len(image_shape) == 3 and image_shape[2 if channels_first else 0] == 3:
        move = f"{name}.movedim(-1, -3)" if channels_first else f"np.moveaxis({name}, -3, -1)"
        remedy = f"channels come {'first' if channels_first else 'last'}: {move}"
    elif len(image_shape) == 3 and image_shape[0 if channels_first else 2] == 4:
        remedy = "leave the fourth channel out, or give a PIL image, whose transparency is laid over white"
    elif len(image_shape) == 2 or (len(image_shape) == 3 and image_shape[0 if channels_first else 2] == 1):
        remedy = "a grey image becomes so by " + (
            "grey.expand(3, -1, -1)" if channels_first else "np.stack([grey] * 3, axis=-1)"
        )
    else:
        remedy = "give images of three channels, of one pixel at least"
    expected = "(3, H, W) or (B, 3, H, W)" if channels_first else "(H, W, 3) or (B, H, W, 3)"
    raise ValueError(f"{name} must be {expected}, got {shape}; {remedy}")
