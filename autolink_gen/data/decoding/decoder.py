"""How strangers' image files are decoded within bounds of memory and time: six formats and GIF, no other plugin.

Differs from `PIL.Image.open`: that asks every plugin it has about a file, whatever its name (EPS runs Ghostscript),
and lets a header ask for any memory and any time.
"""

import re
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from autolink_gen.data.decoding.limits import (
    BYTES_A_PIXEL,
    MAX_PASSES,
    OPENING_READS,
    BoundedFile,
    TooManyPixelsError,
    check_file_size,
    too_many,
)

__all__ = [
    "UPRIGHT",
    "TooManyPixelsError",
    "check_file_size",
    "decode_file",
    "image_header",
    "laid_over_white",
    "open_image",
    "over_white",
    "upright_rgb",
]

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_REDUCED_SHARE = 16  # so many more pixels may a JPEG have of which a reduced image alone is decoded
_TILE_PX, _STRIP_PX = 2**20, 2**16
_BLOCK_BYTES = 2**16
# Which images count more often, for the memory or the time they take.
_COSTS = {
    "webp": 2,  # two canvases, the frame and the image
    "bmp_rle": 8,  # decoded in Python
}
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_ORIENTATION = 0x0112
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # TIFF's
_XMP_ORIENTATION = r'tiff:Orientation(="|>)([0-9])'
_MARKER = re.compile(rb"\xff+[\x02-\xcf\xd8-\xfe]")  # those that are no data and no restart


class _Jpeg(JpegImagePlugin.JpegImageFile):
    def getexif(self) -> Image.Exif:
        """None: Pillow asks while it opens a file, for the resolution, and some versions copy all that is promised."""
        return Image.Exif()


def _tiff(file: Any) -> Image.Image:
    from autolink_gen.data.decoding.tiff import TiffImage  # its plugin is imported for such a file alone

    return TiffImage(file)


# A GIF goes by an image's name often enough, as browsers save it, and has a small decoder; its first frame counts.
_OPENERS: dict[bytes, Callable[[Any], Image.Image]] = {
    b"\xff\xd8\xff": _Jpeg,
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
    b"GIF87a": GifImagePlugin.GifImageFile,
    b"GIF89a": GifImagePlugin.GifImageFile,
    b"RIFF": WebPImagePlugin.WebPImageFile,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
}
_AVIF_BRANDS, _HEIC_BRANDS = {b"avif", b"avis"}, {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
_HEAD_BYTES = 64
NO_IMAGE = "its content is no image that is known here, whatever its name says"


def open_image(handle: BinaryIO | BytesIO, *, max_pixels: int) -> Image.Image:
    """Open an image, whose pixels are not decoded yet; ValueError where it is none, or a file too large for one."""
    num_bytes = handle.seek(0, 2)
    check_file_size(num_bytes, max_pixels=max_pixels)
    head = _head(handle)
    opener = next((one for magic, one in _OPENERS.items() if head.startswith(magic)), None)
    if _is_avif(head):
        raise ValueError("it is an AVIF, of which no part is opened by itself")
    if _brands(head) & _HEIC_BRANDS:
        raise ValueError("it is a HEIC image, which is not read here: convert it to JPEG or PNG")
    if opener is None or (head.startswith(b"RIFF") and head[8:12] != b"WEBP"):
        raise ValueError(NO_IMAGE)
    if opener is WebPImagePlugin.WebPImageFile:
        return opener(handle)  # reads all of it at once
    bounded = BoundedFile(handle)
    image = opener(bounded)
    bounded.allow_decoding(num_bytes)
    return image


def image_header(handle: BinaryIO | BytesIO, *, max_pixels: int) -> tuple[tuple[int, int], str]:
    """Width and height as stored, and PIL's name of the mode, with no pixel decoded; raises as `open_image` does."""
    if _is_avif(_head(handle)):
        from autolink_gen.data.decoding.avif import avif_header

        return avif_header(handle, max_pixels=max_pixels)
    image = open_image(handle, max_pixels=max_pixels)
    return getattr(image, "stored_size", image.size), image.mode


def _head(handle: BinaryIO | BytesIO) -> bytes:
    handle.seek(0)
    head = handle.read(_HEAD_BYTES)
    handle.seek(0)
    return head


def _is_avif(head: bytes) -> bool:
    return bool(_brands(head) & _AVIF_BRANDS)


def _brands(head: bytes) -> set[bytes]:
    """The kinds that the beginning of a file of boxes, such as AVIF and HEIC, says it is of."""
    end = int.from_bytes(head[:4], "big") if head[4:8] == b"ftyp" else 0
    return {head[place : place + 4] for place in (8, *range(16, min(end, len(head)) - 3, 4)) if place < end}


def decode_file(handle: BinaryIO | BytesIO, *, min_side: int | None, max_pixels: int) -> Image.Image:
    """Decode an image into RGB, upright; see `read_image`. Raises TooManyPixelsError, or whatever a decoder does.

    Memory peaks at 10 bytes for each of the pixels allowed, whatever the image's mode.
    """
    if _is_avif(_head(handle)):
        from autolink_gen.data.decoding.avif import decode_avif  # FFmpeg is imported for such a file alone

        return decode_avif(handle, max_pixels=max_pixels)
    image = open_image(handle, max_pixels=max_pixels)
    if image.format == "TIFF":
        return _decode_tiff(image, max_pixels=max_pixels)
    full_size = image.size
    if min_side is not None:
        image.draft(None, (2 * min_side, 2 * min_side))
    _check_size(image, full_size, max_pixels=max_pixels)
    if isinstance(image, _Jpeg):
        _check_scans(image, full_size, _count_scans(handle), max_pixels=max_pixels)
    image.load()
    return upright_rgb(image)


def upright_rgb(image: Image.Image) -> Image.Image:
    """A decoded image in RGB, turned as its metadata say, transparency over white, 16-bit grey scaled to 8 bits."""
    turn = UPRIGHT.get(_orientation(image.info))
    image = _to_rgb(image)
    return image if turn is None else image.transpose(turn)


def _decode_tiff(image: Any, *, max_pixels: int) -> Image.Image:
    from autolink_gen.data.decoding.tiff import check_tiff, upright_levels

    check_tiff(image, image.fp, max_pixels=max_pixels)
    image.load()
    turn = UPRIGHT.get(image.orientation)
    rgb = upright_levels(image, _to_rgb(image))
    return rgb if turn is None else rgb.transpose(turn)


def _check_size(image: Image.Image, full_size: tuple[int, int], *, max_pixels: int) -> None:
    kind = "webp" if image.format == "WEBP" else _codec(image)
    cost = _COSTS.get(kind, 1)
    if cost * image.width * image.height > max_pixels or full_size[0] * full_size[1] > _REDUCED_SHARE * max_pixels:
        raise too_many(full_size, max_pixels, note=f" (of this kind each counts {cost}-fold)" if cost > 1 else "")


def _codec(image: Image.Image) -> str:
    tiles = getattr(image, "tile", [])
    return str(tiles[0][0]) if tiles else ""


def _check_scans(image: _Jpeg, full_size: tuple[int, int], scans: tuple[int, int], *, max_pixels: int) -> None:
    """A JPEG of several scans keeps the coefficients of the whole image in memory, however much it is reduced."""
    (num_scans, first_components), full = scans, full_size[0] * full_size[1]
    if "progressive" not in image.info and num_scans < 2 and first_components >= image.layers:
        return
    if 4 * image.width * image.height + 2 * image.layers * full > BYTES_A_PIXEL * max_pixels:
        raise too_many(full_size, max_pixels, note=" (a progressive JPEG is never reduced)")
    if num_scans * full > MAX_PASSES * max_pixels:
        raise too_many(full_size, MAX_PASSES * max_pixels, note=f" of its {num_scans} scans")


def _count_scans(handle: BinaryIO | BytesIO) -> tuple[int, int]:
    """How many scans a JPEG has, at most as many as it has markers, and how many components are in the first."""
    place, num_scans, first_components = 2, 0, 0
    for _ in range(OPENING_READS):
        handle.seek(place)
        block = handle.read(_BLOCK_BYTES)
        found = _MARKER.search(block)
        if found is None:
            if len(block) < _BLOCK_BYTES:
                return num_scans, first_components
            place += len(block) - 1  # a marker may begin with the last byte
            continue
        kind = block[found.end() - 1]
        handle.seek(place + found.end())
        length = handle.read(3)
        if kind == _END_OF_IMAGE or len(length) < 3:
            break
        if kind == _START_OF_SCAN:
            num_scans += 1
            first_components = first_components or length[2]
        place += found.end() + max(2, int.from_bytes(length[:2], "big"))
    return num_scans, first_components


def _orientation(info: dict[Any, Any]) -> int:
    """How an image is to be turned as its metadata say, 1 to 8; 1 where they are damaged.

    Differs: Pillow's own reader copies the data of all entries, which may be the same megabytes for 65,535 of them.
    """
    try:
        found = _exif_orientation(_exif_bytes(info))
    except (ValueError, struct.error):
        return 1
    if found is not None:
        return found
    text = info.get("XML:com.adobe.xmp") or info.get("xmp") or ""
    match = re.search(_XMP_ORIENTATION, text if isinstance(text, str) else text.decode("latin-1"))
    return int(match[2]) if match else 1


def _exif_bytes(info: dict[Any, Any]) -> bytes:
    exif = info.get("exif")
    if exif is None:
        exif = bytes.fromhex("".join(info.get("Raw profile type exif", "").split("\n")[3:]))
    return re.sub(b"^(Exif\x00\x00){1,2}", b"", exif)


def _exif_orientation(exif: bytes) -> int | None:
    """The entry of the first directory, or None where there is none; ValueError, struct.error for other data."""
    if not exif:
        return None
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        raise ValueError("no EXIF data")
    place = struct.unpack_from(order + "L", exif, 4)[0]
    (count,) = struct.unpack_from(order + "H", exif, place)
    for start in range(place + 2, min(place + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind, number, offset = struct.unpack_from(order + "HHLL", exif, start)
        size = _TYPE_BYTES.get(kind, 0) * number
        if size > 4 and offset + size > len(exif):
            return None  # damaged: nothing after it counts
        if tag == _ORIENTATION and number == 1 and kind in (1, 3, 4):
            return int(struct.unpack_from(order + {1: "B", 3: "H", 4: "L"}[kind], exif, start + 8)[0])
    return None


def _to_rgb(image: Image.Image) -> Image.Image:
    """The image in RGB, transparency over white; made in tiles, so that no second whole copy is in memory."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    result = Image.new("RGB", image.size)
    width, height = image.size
    tile_width = min(width, _TILE_PX)
    tile_height = max(1, _TILE_PX // max(1, tile_width))
    for top in range(0, height, tile_height):
        for left in range(0, width, tile_width):
            box = left, top, min(left + tile_width, width), min(top + tile_height, height)
            result.paste(_tile_to_rgb(image.crop(box)), box)
    return result


def _tile_to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        return Image.fromarray(over_white(np.asarray(image.convert("RGBA"))))
    return image.convert("RGB")


def over_white(layer: UInt8[ndarray, "H W 4"]) -> UInt8[ndarray, "H W 3"]:
    """The RGB of a transparent RGBA layer over white."""
    return laid_over_white(layer[..., :3], layer[..., 3])


def laid_over_white(colours: UInt8[ndarray, "H W 3"], alpha: UInt8[ndarray, "H W"]) -> UInt8[ndarray, "H W 3"]:
    """Colours blended over white by their opacity."""
    result = np.empty(colours.shape, np.uint8)
    rows = max(1, _STRIP_PX // max(1, colours.shape[1]))
    for top in range(0, colours.shape[0], rows):
        strip = colours[top : top + rows].astype(np.uint16)
        shares = alpha[top : top + rows, :, None].astype(np.uint16)
        strip *= shares
        strip += 255 * (255 - shares) + 128
        strip += strip >> 8  # with the next line a division by 255, rounded, without leaving 16 bits
        result[top : top + rows] = strip >> 8
    return result
