"""TIFF files within bounds: the first image, of the compressions and pixels that photographs have."""

import math
import struct
from collections.abc import Iterable
from typing import Any

from PIL import Image, ImageChops, TiffImagePlugin

from autolink_gen.data.decoding.limits import MAX_PASSES, BoundedFile, too_many

_COST = 2  # pixels of 16 bits in one strip, and the image
_BLOCK_BYTES = 2**16  # that Pillow reads at once, of each strip
_MAX_STRIPS = 100_000
_COMPRESSIONS = {
    1: "none", 5: "LZW", 7: "JPEG", 8: "deflate", 32946: "deflate", 32773: "PackBits", 50000: "zstd",
}  # fmt: skip
_MODES = ("1", "L", "LA", "P", "PA", "I;16", "I;16B", "I;16L", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_JPEG, _WHITE_IS_0 = 7, 0
_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 259, 262, 266
_STRIP_PLACES, _STRIP_ROWS, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILE_PLACES, _TILE_BYTES = 322, 323, 324, 325
_ORIENTATION = 274
_BITS, _SAMPLES, _PLANAR = 258, 277, 284
# What sizes and layouts hang on.
_SIZES = {
    _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES, _PLANAR, _STRIP_PLACES, _STRIP_ROWS,
    _STRIP_BYTES, _TILE_WIDTH, _TILE_HEIGHT, _TILE_PLACES, _TILE_BYTES,
}  # fmt: skip
_START_OF_SCAN = b"\xff\xda"


class TiffImage(TiffImagePlugin.TiffImageFile):
    """A TIFF whose first image alone is looked at, as it lies in the file.

    Differs: Pillow's looks through all images and all metadata at the end of decoding, and turns the image.
    """

    def load_end(self) -> None:
        """Nothing but the size as stored, which Pillow has turned already."""
        self._size = self.im.size

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height before the image is turned."""
        return self.tag_v2[_WIDTH], self.tag_v2[_HEIGHT]

    @property
    def orientation(self) -> int:
        """How the image is to be turned, 1 to 8 as in EXIF; 1 where nothing sensible is said."""
        value = self.tag_v2.get(_ORIENTATION, 1)
        return value if isinstance(value, int) else 1


def check_tiff(image: TiffImage, file: BoundedFile, *, max_pixels: int) -> None:
    """TooManyPixelsError, or ValueError in words, for a TIFF that is not decoded: it would take too much, or who knows.

    What its strips or tiles promise is compared with the length of the file.
    """
    _check_directory(file, image)
    tags = image.tag_v2
    kind = tags.get(_COMPRESSION, 1)
    if kind not in _COMPRESSIONS:
        raise ValueError(f"it is compressed in a way that is not read here ({kind}); save it with LZW or none")
    if tags.get(_FILL_ORDER, 1) != 1:
        raise ValueError("the order of its bits is turned round")
    if image.mode not in _MODES:
        raise ValueError(f'its pixels are of the kind "{image.mode}", which is not read; save it with 8 or 16 bits')
    size = _whole_size(image)
    if _COST * math.prod(size) > max_pixels:
        raise too_many(size, max_pixels, note=f" (of this kind each counts {_COST}-fold)")
    num_bytes = file.seek(0, 2)
    places = _numbers(tags.get(_TILE_PLACES) if _TILE_PLACES in tags else tags.get(_STRIP_PLACES))
    lengths = _numbers(tags.get(_TILE_BYTES) if _TILE_PLACES in tags else tags.get(_STRIP_BYTES))
    is_known = len(places) == len(lengths) or (kind == 1 and not lengths)
    if not places or len(places) > _MAX_STRIPS or not is_known or sum(lengths) > num_bytes:
        raise ValueError("its strips are not within the file, or too many")
    if kind == _JPEG:
        _check_scans(file, zip(places, lengths, strict=True))
    file.allow_decoding(num_bytes + _BLOCK_BYTES * len(places))


def _whole_size(image: TiffImage) -> tuple[int, int]:
    """Width and height of all strips or tiles together, what lies beyond the image's edges included."""
    tags = image.tag_v2
    width, height = tags[_WIDTH], tags[_HEIGHT]
    if _TILE_PLACES in tags:
        part = tags.get(_TILE_WIDTH), tags.get(_TILE_HEIGHT)
    else:
        part = width, min(tags.get(_STRIP_ROWS, height), height)
    if not all(isinstance(side, int) and side > 0 for side in (width, height, *part)):
        raise ValueError("it does not say the size of its strips or tiles")
    return -(-width // part[0]) * part[0], -(-height // part[1]) * part[1]


def _numbers(value: Any) -> tuple[int, ...]:
    numbers = value if isinstance(value, tuple) else () if value is None else (value,)
    return numbers if all(isinstance(number, int) and number >= 0 for number in numbers) else ()


def _check_scans(file: BoundedFile, strips: Iterable[tuple[int, int]]) -> None:
    """ValueError where a strip is a JPEG of many scans: each goes over all of its pixels again."""
    for place, length in strips:
        file.seek(place)
        content = file.read(length)
        if content.count(_START_OF_SCAN) > MAX_PASSES:
            raise ValueError("a part of it is a JPEG of too many scans")


def _check_directory(file: BoundedFile, image: TiffImage) -> None:
    """ValueError where two readers could see other sizes: tags that come twice, or as no plain numbers."""
    order = "<" if image.tag_v2.prefix == b"II" else ">"
    file.seek(image.tag_v2.offset)
    (count,) = struct.unpack(order + "H", file.read(2))
    entries = file.read(12 * count)
    found = [struct.unpack_from(order + "HH", entries, start) for start in range(0, len(entries) - 11, 12)]
    names = [tag for tag, _ in found]
    if len(set(names)) < len(names) or any(tag in _SIZES and kind not in (3, 4) for tag, kind in found):
        raise ValueError("its directory says a thing twice, or not in numbers")


def upright_levels(image: TiffImage, rgb: Image.Image) -> Image.Image:
    """The image with black at 0, which Pillow does not see to where a grey has 16 bits."""
    is_turned = image.mode.startswith("I;16") and image.tag_v2.get(_PHOTOMETRIC, 0) == _WHITE_IS_0
    return ImageChops.invert(rgb) if is_turned else rgb
