"""Animated WebP and PNG images, read as videos; where an image is expected, their first frame counts."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy import ndarray
from PIL import Image

from autolink_gen.common.files import BadFileError, reading, reason_of
from autolink_gen.common.limits import PIXELS_VARIABLE, max_pixels
from autolink_gen.data.decoding.decoder import open_image, over_white
from autolink_gen.data.folders import is_image
from autolink_gen.data.video.base import MAX_BAD_SHARE, TimedFrame, Video, VideoError
from autolink_gen.data.video.gif_holds import has_several_frames
from autolink_gen.data.video.reader import VideoReader, is_video

_PNG, _GIF = b"\x89PNG\r\n\x1a\n", b"GIF8"
_TOO_SHORT_S, _USUAL_S = 0.0105, 0.1  # browsers show what is to last a hundredth of a second for a tenth
_COST = 3  # so many times the bytes of a still image: the canvas, the one before, the frame
_MAX_CHUNKS = 100_000


def is_video_or_animation(path: Path) -> bool:
    """Whether a file is a video by its name, or an animated image."""
    return is_video(path) or is_animated(path)


def is_animated(path: Path) -> bool:
    """Whether an image file (WebP, PNG or GIF) holds several frames."""
    if not (is_image(path) and path.is_file()):
        return False
    return has_several_frames(path) if _starts_as_gif(path) else len(_read_holds(path)) > 1


def open_video(path: str | Path, *, max_bad_share: float = MAX_BAD_SHARE) -> Video:
    """Open a video or an animated image, whatever its name; VideoError where it cannot be read."""
    path = Path(path)
    is_pillows = path.is_file() and not _starts_as_gif(path) and len(_read_holds(path)) > 1
    return (AnimatedImage if is_pillows else VideoReader)(path, max_bad_share=max_bad_share)


class AnimatedImage(Video):
    """A WebP or PNG of several frames as a `Video`; Pillow decodes it, for not every FFmpeg can.

    Raises VideoError (a ValueError) that names file and remedy where it is none.
    """

    def __init__(self, path: str | Path, *, max_bad_share: float = MAX_BAD_SHARE) -> None:
        super().__init__(path, max_bad_share=max_bad_share)
        self._holds = _read_holds(self.path)
        if not self._holds:
            raise self._error("it is no animated image")
        with self._open() as image:
            self.width, self.height = image.size
        self.num_frames, self.length_s = len(self._holds), sum(self._holds)
        self.fps = Fraction(self.num_frames / self.length_s).limit_denominator(1000)
        self.has_audio = False

    def _from_keyframe(
        self, time_s: float, *, beyond_s: float | None = None, checked: bool = True
    ) -> Iterator[TimedFrame]:
        self.bad_frames, self._reached_end, good = 0, False, 0
        if beyond_s is not None:  # every frame is made of the one before
            return
        times = accumulate(self._holds, initial=0.0)
        with self._open() as image:
            first = int(getattr(image, "default_image", False))  # that of a PNG for programs that show no animation
            for number, (hold_s, start_s) in enumerate(zip(self._holds, times, strict=False)):
                try:
                    pixels = _frame(image, first + number)
                except Exception as error:  # noqa: BLE001 - a decoder raises anything at all
                    self.bad_frames = len(self._holds) - number
                    problem = reason_of(error)
                    break
                good += 1
                yield TimedFrame(number, start_s, pixels, hold_s)
            else:
                self._reached_end = True
        if not good:
            raise self._error(f"none of its frames can be decoded: {problem}")
        if checked and time_s <= 0:
            self._check_share(good)

    @contextmanager
    def _open(self) -> Iterator[Image.Image]:
        try:
            with reading(self.path, "animated image", remedy=""), self.path.open("rb") as file:
                with _no_advice():
                    image = open_image(file, max_pixels=max_pixels())
                if _COST * image.width * image.height > max_pixels():
                    raise ValueError(
                        f"its frames of {image.width} x {image.height} pixels are too large, the limit is "
                        f"{max_pixels() // _COST:,} ({PIXELS_VARIABLE} raises it)"
                    )
                yield image
        except VideoError:
            raise
        except BadFileError as error:
            raise self._error(reason_of(error.__cause__ or error)) from error


def _frame(image: Image.Image, number: int) -> ndarray:
    """A frame as RGB, on white."""
    with _no_advice():
        image.seek(number)
        return over_white(np.asarray(image.convert("RGBA")))


@contextmanager
def _no_advice() -> Iterator[None]:
    """Hide Pillow's warnings of damaged files: damage is counted and reported once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _starts_as_gif(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_GIF)) == _GIF


def _read_holds(path: Path) -> list[float]:
    """The hold of each frame of a WebP or PNG, in seconds; none for other files and still images."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:] == b"WEBP":
            holds = _webp_holds(file)
        elif head.startswith(_PNG):
            file.seek(len(_PNG))
            holds = _png_holds(file)
        else:
            return []
        return [hold_s if hold_s > _TOO_SHORT_S else _USUAL_S for hold_s in holds]


def _webp_holds(file: BinaryIO) -> Iterator[float]:
    for _ in range(_MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[4:], "little")
        content = file.read(min(length, 16))
        if head[:4] == b"ANMF" and len(content) == 16:
            yield int.from_bytes(content[12:15], "little") / 1000
        file.seek(length + length % 2 - len(content), 1)


def _png_holds(file: BinaryIO) -> Iterator[float]:
    for _ in range(_MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        length = int.from_bytes(head[:4], "big")
        content = file.read(min(length, 26))
        if head[4:] == b"fcTL" and len(content) == 26:
            numerator, denominator = struct.unpack(">HH", content[20:24])
            yield numerator / (denominator or 100)
        file.seek(length + 4 - len(content), 1)
