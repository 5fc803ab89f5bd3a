"""Images: decoded from a file or from bytes, upright, in RGB; made square."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from autolink_gen.common.files import BadFileError, reading, reason_of
from autolink_gen.common.limits import max_pixels
from autolink_gen.common.text import printable, typed
from autolink_gen.data.decoding.decoder import TooManyPixelsError, check_file_size, decode_file, image_header
from autolink_gen.data.folders import IMAGE_SUFFIXES, list_images

__all__ = [
    "FIT",
    "IMAGE_SUFFIXES",
    "ImageError",
    "ImageHeader",
    "check_fit",
    "decode_image",
    "fit_square",
    "image_error",
    "list_images",
    "open_ordinary",
    "read_content",
    "read_header",
    "read_image",
    "to_array",
]

FIT = Literal["crop", "pad", "stretch"]
CACHE_BYTES = 2**30
PAD_GREY = 127
_STRIP_PX = 2**20
_EMPTY = "the file is empty (0 bytes)"


class ImageError(BadFileError):
    """An image that cannot be read; the message names the file, the reason and the remedy.

    `reason` is the reason alone.
    """

    reason: str = ""


def image_error(name: str | Path, reason: str, *, remedy: str) -> ImageError:
    """The error of an image, given its name, why it cannot be read and what to do."""
    error = ImageError(f"cannot read {printable(str(name))}: {reason}; {remedy}")
    error.reason = reason
    return error


@dataclass(frozen=True)
class ImageHeader:
    """An image file's header: size in pixels as stored, PIL's name of the mode ("RGB", "P")."""

    width: int
    height: int
    mode: str


def read_header(path: str | Path) -> ImageHeader:
    """Read size and mode without decoding the image; ImageError when the file is no image."""
    path = Path(path)
    with _decoding(path, remedy=_remedy(path)), _no_warnings(), open_ordinary(path) as handle:
        size, mode = image_header(handle, max_pixels=max_pixels())
        return ImageHeader(*size, mode)


def read_image(path: str | Path, *, min_side: int | None = None, max_pixels: int | None = None) -> Image.Image:
    """Decode an image of any mode into RGB, upright as its EXIF orientation says.

    Transparency is laid over white, 16-bit grey is scaled to 8 bits, colour profiles are not applied.
    With `min_side` (pixels) a large JPEG is decoded at 1/2, 1/4 or 1/8 of its size as long as both sides stay
    at least twice `min_side`; without it the image has the size of the file. A file is what its content says,
    whatever its name: JPEG, PNG, WebP, BMP, AVIF, the first page of a TIFF, or the first frame of a GIF.

    Raises:
        ImageError: the file cannot be decoded, or would give more than `max_pixels` pixels, the limit of
            `limits.max_pixels` unless given; decoding takes ten bytes for each of them at most.
    """
    path = Path(path)
    with _decoding(path, remedy=_remedy(path)), open_ordinary(path) as handle:
        return _decode(handle, path, min_side=min_side, most=max_pixels, remedy=_shrink(path))


def decode_image(
    content: bytes, name: str, *, remedy: str, min_side: int | None = None, max_pixels: int | None = None
) -> Image.Image:
    """Decode an image from the bytes of its file, as `read_image` does.

    Raises:
        ImageError: as `read_image` does, with `name` for the file and with `remedy`.
    """
    if not content:
        raise image_error(name, _EMPTY, remedy=remedy)
    with _decoding(name, remedy=remedy):
        return _decode(BytesIO(content), name, min_side=min_side, most=max_pixels, remedy=remedy)


def to_array(image: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    """An RGB image as an array, filled strip by strip: at once, Pillow makes two copies of it on the way."""
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PX // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels


def read_content(path: Path) -> bytes:
    """All bytes of an image's file; ImageError where it cannot be read, or is too large for an image."""
    with _decoding(path, remedy=_remedy(path)), open_ordinary(path) as handle:
        check_file_size(path.stat().st_size, max_pixels=max_pixels())
        return handle.read()


def open_ordinary(path: Path) -> BinaryIO:
    """Open a file for reading; ImageError for what is no ordinary file with something in it, such as a pipe."""
    if path.is_dir():
        raise image_error(path, "it is a folder", remedy=_remedy(path))
    if not path.exists():
        raise image_error(path, "there is no such file", remedy="see that the path is right")
    if not path.is_file():  # a pipe would be waited for, and a device never ends
        raise image_error(path, "it is no ordinary file", remedy=_remedy(path))
    if path.stat().st_size == 0:
        raise image_error(path, _EMPTY, remedy=_remedy(path))
    try:
        return path.open("rb")
    except PermissionError as error:
        raise image_error(path, "permission denied", remedy=_remedy(path)) from error


def _decode(
    handle: BinaryIO | BytesIO, name: str | Path, *, min_side: int | None, most: int | None, remedy: str
) -> Image.Image:
    most = max_pixels() if most is None else most
    try:
        with _no_warnings():
            return decode_file(handle, min_side=min_side, max_pixels=most)
    except TooManyPixelsError as error:
        raise image_error(name, str(error), remedy=remedy) from error


@contextmanager
def _decoding(name: str | Path, *, remedy: str) -> Iterator[None]:
    """Make an ImageError of whatever a decoder raises."""
    try:
        with reading(name, "image", remedy=remedy):
            yield
    except ImageError:
        raise
    except BadFileError as error:
        cause = error.__cause__ or error
        raise image_error(name, reason_of(cause), remedy=remedy) from cause


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Silence PIL on big images and odd metadata: `read_image` has a limit of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _remedy(path: Path) -> str:
    return f"remove or replace it (`autolink-gen data check {typed(path.parent)}` lists all such files)"


def _shrink(path: Path) -> str:
    return f"shrink it (for example `magick mogrify -resize 2048x2048 {typed(path)}`) or remove it"


def fit_square(image: Image.Image, *, size: int, fit: FIT = "crop") -> Image.Image:
    """Resize an RGB image to (size, size) pixels, antialiased.

    "crop" takes the central square, "pad" keeps the whole image between bars of middle grey, "stretch"
    ignores the aspect ratio.

    Raises:
        ValueError: another `fit`.
    """
    check_fit(fit)
    width, height = image.size
    if fit == "stretch" or width == height:
        return _resize(image, (size, size), box=(0, 0, width, height))
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return _resize(image, (size, size), box=(left, top, left + side, top + side))
    side = max(width, height)
    inner = max(1, round(size * width / side)), max(1, round(size * height / side))
    canvas = Image.new("RGB", (size, size), (PAD_GREY,) * 3)
    corner = (size - inner[0]) // 2, (size - inner[1]) // 2
    canvas.paste(_resize(image, inner, box=(0, 0, width, height)), corner)
    return canvas


def _resize(image: Image.Image, size: tuple[int, int], *, box: tuple[int, int, int, int]) -> Image.Image:
    # Bilinear, as the models resize what they detect on; the gap only saves time on large images.
    return image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)


def check_fit(fit: str) -> None:
    """ValueError unless `fit` is one of the three ways to make an image square."""
    if fit not in get_args(FIT):
        raise ValueError(f"fit is {fit!r}; it must be one of {', '.join(get_args(FIT))}")
