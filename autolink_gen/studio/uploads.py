"""What pages send, read within limits: pictures in a request, videos from files; and pictures as data URLs.

A script sends a file with ``sendFile`` (common.js), which gives its token, and passes the token on to a function of
the server. There `Shelf.using` gives the file, and `open_upload` its frames, under the name that its owner gave it in
whatever goes wrong::

    with shelf.using(token) as [file], naming(file):
        stream = open_upload(file)  # a picture, too: `stream.is_image`
        for frame in stream: ...
"""

import base64
import binascii
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from autolink_gen.common import limits
from autolink_gen.common.files import reason_of
from autolink_gen.common.text import shown
from autolink_gen.data.decoding.decoder import NO_IMAGE
from autolink_gen.data.folders import is_image
from autolink_gen.data.images import ImageError, decode_image, image_error, read_image, to_array
from autolink_gen.data.video.animated_images import is_video_or_animation
from autolink_gen.data.video.stream import FrameStream
from autolink_gen.studio.shelf import KeptFile

MAX_UPLOAD_BYTES = 2**25
MAX_UPLOAD_PIXELS = 25_000_000  # ten bytes each while decoding
MAX_VIDEO_BYTES = 2**28
MAX_VIDEO_S = 300.0
MAX_VIDEO_FPS = 60
_SHOWN_SIDE_PX = 1024
_REMEDY = "choose another picture"


def picture_of(name: str, content_base64: str, *, or_video: bool = False) -> UInt8[ndarray, "H W 3"]:
    """An uploaded picture, upright and in RGB, whatever its name says it is.

    Raises ValueError, in one line with the name, for what is no picture, and for more than ``MAX_UPLOAD_BYTES`` or
    ``MAX_UPLOAD_PIXELS``, or the fewer pixels that `limits.max_pixels` allows. With ``or_video`` the page takes videos
    too, and the line says so of a file that is neither by its name.
    """
    label = shown(name, most=80)
    if len(content_base64) > 4 * (MAX_UPLOAD_BYTES // 3 + 1):
        raise image_error(label, f"it has more than {MAX_UPLOAD_BYTES // 2**20} MiB", remedy=_REMEDY)
    try:
        content = base64.b64decode(content_base64, validate=True)
    except (binascii.Error, ValueError):
        raise image_error(label, "the upload is damaged", remedy=_REMEDY) from None
    try:
        return to_array(decode_image(content, label, remedy=_REMEDY, max_pixels=_most_pixels()))
    except ImageError as error:
        if or_video and error.reason == NO_IMAGE and not is_image(Path(name)):
            raise _neither(label) from error
        raise


@dataclass(frozen=True)
class MediaFacts:
    """An uploaded picture or video, as a page shows it: its first frame as a data URL, its size, its length.

    A picture has one frame and no length.
    """

    picture: str
    width: int
    height: int
    num_frames: int
    length_s: float
    has_sound: bool
    is_image: bool


def open_upload(file: KeptFile, *, start_s: float = 0.0, end_s: float | None = None) -> FrameStream:
    """The frames of an uploaded video or picture, of a video those from ``start_s`` to before ``end_s``.

    At most 60 frames a second come, and none after ``MAX_VIDEO_S``, whatever the file says of its length. Raises
    ValueError for what is neither by its name, cannot be read, is longer, or has more than ``MAX_UPLOAD_PIXELS`` in
    its first frame.
    """
    most_s = MAX_VIDEO_S if end_s is None else min(end_s, MAX_VIDEO_S)
    if is_image(file.path):
        try:
            read_image(file.path, max_pixels=_most_pixels())
        except ImageError as error:  # whose remedy is for the owner of the folder
            raise image_error(file.path, error.reason, remedy=_REMEDY) from error
    elif not is_video_or_animation(file.path):
        raise _neither(file.path)
    whole = FrameStream(file.path)
    if whole.is_image:
        return whole
    if math.isfinite(whole.length_s) and whole.length_s > MAX_VIDEO_S + 1:
        raise ValueError(
            f"{file.path} lasts {whole.length_s:.0f} seconds, and {MAX_VIDEO_S:.0f} are taken at most; cut it, or use "
            f"the command for all of it"
        )
    fps = MAX_VIDEO_FPS if whole.fps > MAX_VIDEO_FPS else None
    stream = FrameStream(file.path, start_s=start_s, end_s=most_s, fps=fps)
    height, width = first_frame(stream).shape[:2]
    if height * width > _most_pixels():
        raise ValueError(f"{file.path} has {width} x {height} pixels a frame, and {_most_pixels():,} are taken at most")
    return stream


def facts_of(file: KeptFile) -> MediaFacts:
    """The facts of an uploaded file; raises ValueError as `open_upload` does."""
    stream = open_upload(file)
    pixels = first_frame(stream)
    length_s = stream.length_s if math.isfinite(stream.length_s) and not stream.is_image else 0.0
    return MediaFacts(
        picture=data_url(for_screen(pixels)),
        width=pixels.shape[1],
        height=pixels.shape[0],
        num_frames=stream.num_frames,
        length_s=length_s,
        has_sound=stream.has_audio,
        is_image=stream.is_image,
    )


def first_frame(stream: FrameStream) -> UInt8[ndarray, "H W 3"]:
    """The first frame of a video, or the picture."""
    return next(stream.spread_one_by_one(1))


@contextmanager
def naming(*files: KeptFile) -> Iterator[None]:
    """Errors of the block as ValueErrors that call the files what their owner does."""
    try:
        yield
    except (ValueError, OSError) as error:
        message = str(error) if isinstance(error, ValueError) else reason_of(error)
        for file in files:
            message = file.named(message)
        raise ValueError(message) from error


def _neither(name: str | Path) -> ValueError:
    return ValueError(f"{name} is by its name neither a picture nor a video; choose another file")


def _most_pixels() -> int:
    return min(MAX_UPLOAD_PIXELS, limits.max_pixels())


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
