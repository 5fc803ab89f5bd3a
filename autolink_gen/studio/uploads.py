"""Pictures between the page and the models: uploads decoded within limits, results as data URLs; no file."""

import base64
import binascii
import io

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from autolink_gen.common import limits
from autolink_gen.common.text import shown
from autolink_gen.data.images import decode_image, image_error, to_array

MAX_UPLOAD_BYTES = 2**25
MAX_UPLOAD_PIXELS = 25_000_000  # ten bytes each while decoding
_SHOWN_SIDE_PX = 1024
_REMEDY = "choose another picture"


def picture_of(name: str, content_base64: str) -> UInt8[ndarray, "H W 3"]:
    """An uploaded picture, upright and in RGB, whatever its name says it is.

    Raises ValueError, in one line with the name, for what is no picture, and for more than ``MAX_UPLOAD_BYTES`` or
    ``MAX_UPLOAD_PIXELS``, or the fewer pixels that `limits.max_pixels` allows.
    """
    label = shown(name, most=80)
    if len(content_base64) > 4 * (MAX_UPLOAD_BYTES // 3 + 1):
        raise image_error(label, f"it has more than {MAX_UPLOAD_BYTES // 2**20} MiB", remedy=_REMEDY)
    try:
        content = base64.b64decode(content_base64, validate=True)
    except (binascii.Error, ValueError):
        raise image_error(label, "the upload is damaged", remedy=_REMEDY) from None
    most = min(MAX_UPLOAD_PIXELS, limits.max_pixels())
    return to_array(decode_image(content, label, remedy=_REMEDY, max_pixels=most))


def png_of(pixels: UInt8[ndarray, "H W 3"]) -> bytes:
    """The picture as a PNG file, packed quickly."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def data_url(pixels: UInt8[ndarray, "H W 3"]) -> str:
    """The picture as an address that a page shows without asking for a file."""
    return "data:image/png;base64," + base64.b64encode(png_of(pixels)).decode()


def for_screen(pixels: UInt8[ndarray, "H W 3"]) -> UInt8[ndarray, "h w 3"]:
    """The picture, its longer side at most 1024 pixels."""
    image = Image.fromarray(pixels)
    image.thumbnail((_SHOWN_SIDE_PX, _SHOWN_SIDE_PX), Image.Resampling.BILINEAR)
    return np.asarray(image)
