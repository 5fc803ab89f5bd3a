"""Pictures: decoded from a file or from bytes, upright, in RGB; made square."""

import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import numpy as np
from PIL import BmpImagePlugin, ExifTags, Image, JpegImagePlugin, PngImagePlugin

from autolink_gen.data.folders import IMAGE_SUFFIXES, list_images

__all__ = [
    "FIT",
    "IMAGE_SUFFIXES",
    "ImageError",
    "ImageHeader",
    "check_fit",
    "decode_image",
    "fit_square",
    "list_images",
    "read_header",
    "read_image",
]

FIT = Literal["crop", "pad", "stretch"]
MAX_PIXELS = 100_000_000
CACHE_BYTES = 2**30
PAD_GREY = 127
_EMPTY = "the file is empty (0 bytes)"

_DECODING_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
# Opened by hand: `Image.open` refuses big pictures before one can ask for a reduced decoding.
_OPENERS: dict[bytes, Callable[[BinaryIO], Image.Image]] = {
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
}
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """A picture that cannot be read; the message names the file, the reason and the remedy.

    `reason` is the reason alone.
    """

    reason: str = ""


class _TooManyPixelsError(ValueError):
    pass


def _image_error(name: str | Path, reason: str, *, remedy: str) -> ImageError:
    error = ImageError(f"cannot read {name}: {reason}; {remedy}")
    error.reason = reason
    return error


@dataclass(frozen=True)
class ImageHeader:
    """What a file says of its picture: size in pixels as stored, PIL's name of the mode ("RGB", "P")."""

    width: int
    height: int
    mode: str


def read_header(path: str | Path) -> ImageHeader:
    """Read size and mode without decoding the picture; ImageError when the file is no picture."""
    path = Path(path)
    try:
        with path.open("rb") as handle, _no_warnings():
            image = _open(handle)
            return ImageHeader(*image.size, image.mode)
    except _DECODING_ERRORS as error:
        raise _unreadable(path, error) from error


def read_image(path: str | Path, *, min_side: int | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a picture of any mode into RGB, upright as its EXIF orientation says.

    Transparency is laid over white, 16-bit grey is scaled to 8 bits, colour profiles are not applied.
    With `min_side` (pixels) a large JPEG is decoded at 1/2, 1/4 or 1/8 of its size as long as both sides stay
    at least twice `min_side`; without it the picture has the size of the file.

    Raises:
        ImageError: the file cannot be decoded, or would give more than `max_pixels` pixels.
    """
    path = Path(path)
    try:
        with path.open("rb") as handle:
            return _decode(handle, min_side=min_side, max_pixels=max_pixels)
    except _DECODING_ERRORS as error:
        raise _unreadable(path, error) from error


def decode_image(
    content: bytes, name: str, *, remedy: str, min_side: int | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Decode a picture from the bytes of its file, as `read_image` does.

    Raises:
        ImageError: as `read_image` does, with `name` for the file and with `remedy`.
    """
    try:
        return _decode(BytesIO(content), min_side=min_side, max_pixels=max_pixels)
    except _DECODING_ERRORS as error:
        raise _image_error(name, _reason(error) if content else _EMPTY, remedy=remedy) from error


def _decode(handle: BinaryIO | BytesIO, *, min_side: int | None, max_pixels: int) -> Image.Image:
    with _no_warnings():
        image = _open(handle)
        full_size = image.size
        if min_side is not None:
            image.draft(None, (2 * min_side, 2 * min_side))
        _check_size(image, full_size, max_pixels)
        return _upright(image, _to_rgb(image))


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Silence PIL on big pictures and odd metadata: `read_image` has a limit of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _unreadable(path: Path, error: Exception) -> ImageError:
    remedy = f"remove or replace it (`autolink-gen data check {path.parent}` lists all such files)"
    if isinstance(error, FileNotFoundError):
        remedy = "see that the path is right"
    if isinstance(error, _TooManyPixelsError):
        remedy = f"shrink it (for example `magick mogrify -resize 2048x2048 {path.name}`) or remove it"
    return _image_error(path, _reason_of_file(path, error), remedy=remedy)


def _open(handle: BinaryIO | BytesIO) -> Image.Image:
    head = handle.read(16)
    handle.seek(0)
    for magic, opener in _OPENERS.items():
        if head.startswith(magic):
            return opener(handle)
    return Image.open(handle)


def _check_size(image: Image.Image, full_size: tuple[int, int], max_pixels: int) -> None:
    # A progressive JPEG keeps the coefficients of the whole picture in memory, however much it is reduced.
    width, height = full_size if "progressive" in image.info else image.size
    if width * height > max_pixels:
        raise _TooManyPixelsError(
            f"{full_size[0]} x {full_size[1]} pixels are too many, the limit is {max_pixels:,} in all"
        )


def _reason_of_file(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "permission denied"
    if path.is_dir():
        return "it is a folder"
    if path.is_file() and path.stat().st_size == 0:
        return _EMPTY
    return _reason(error)


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "its content is no picture that is known here, whatever its name says"
    return str(error) or type(error).__name__


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        image.load()
        return image
    if image.mode.startswith("I"):
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _upright(original: Image.Image, image: Image.Image) -> Image.Image:
    """Turn `image` as the EXIF data of `original` say; damaged EXIF data turn nothing."""
    try:
        orientation = original.getexif().get(ExifTags.Base.Orientation, 1)
    except _DECODING_ERRORS:
        return image
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def fit_square(image: Image.Image, *, size: int, fit: FIT = "crop") -> Image.Image:
    """Resize an RGB picture to (size, size) pixels, antialiased.

    "crop" takes the central square, "pad" keeps the whole picture between bars of middle grey, "stretch"
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
    # Bilinear, as the models resize what they detect on; the gap only saves time on large pictures.
    return image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)


def check_fit(fit: str) -> None:
    """ValueError unless `fit` is one of the three ways to make a picture square."""
    if fit not in get_args(FIT):
        raise ValueError(f"fit is {fit!r}; it must be one of {', '.join(get_args(FIT))}")
