"""Decoded frames as a player shows them: RGB, upright, square pixels, HDR as SDR, over white."""

import logging
import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter
from numpy import ndarray

from autolink_gen.common.text import printable
from autolink_gen.data.decoding.decoder import laid_over_white, over_white
from autolink_gen.data.video.deinterlacing import deinterlace
from autolink_gen.data.video.hidden_alpha import HIDDEN_FRAMES, hidden_alpha
from autolink_gen.data.video.limits import check_shown
from autolink_gen.data.video.tone_mapping import Transfer, sdr_table

logger = logging.getLogger(__name__)

_FULL_RANGE, _UNSPECIFIED = 2, 2
_BT709, _BT601, _BT2020, _BT2020_CONSTANT = 1, 5, 9, 10  # colour spaces (matrices) and primaries, H.273
_UNMARKED, _READ_MATRICES = (0, 2, 3), (1, 4, 5, 6, 7, 9)
_TRANSFERS = {16: Transfer.PQ, 18: Transfer.HLG}
_SDR_TRANSFERS = (1, 2, 6, 14, 15)
_HD_WIDTH, _SD_HEIGHT = 1280, 576  # players take an unmarked video that is larger for BT.709
_ALPHA_FRAMES = 10  # of a second decoder
_MOST_STRETCH = 10  # of a pixel: what is said to be longer is damaged
_RGB_BYTES, _RGBA_BYTES, _HDR_BYTES = 9, 10, 12  # a pixel: of the frame converted, of the array, of it turned


class Display:
    """Converts the frames of one opened video stream for display; `path` is named in messages.

    `logged` holds the warnings logged so far: with a set shared by several readers each is logged once.
    With `has_square_pixels` the pixel shape that the file says is ignored, as with images.
    """

    def __init__(
        self, stream: Any, path: Path, *, logged: set[str] | None = None, has_square_pixels: bool = False
    ) -> None:
        self._stream, self._path = stream, path
        self._logged = set() if logged is None else logged
        self._has_square_pixels = has_square_pixels
        self._converter = VideoReformatter()  # kept: making one takes twenty times a small frame's conversion
        self._alpha, self._alpha_converter = hidden_alpha(stream), VideoReformatter()

    def collect_alpha(self, packets: Iterable[Any]) -> Iterator[Any]:
        """The packets, passed on; transparency stored beside them is decoded on the way."""
        return self._alpha.collect_alpha(packets) if self._alpha else iter(packets)

    def deinterlace_frames(self, frames: Iterator[Any]) -> Iterator[Any]:
        """The decoded frames with their time stamps, interlaced ones deinterlaced, as `pixels` takes them.

        Looks one frame ahead from the first frame of two fields on.
        """
        return deinterlace(frames, codec=self._stream.codec_context.name, warn=self._warn_once)

    def pixels(self, frame: Any, *, alpha: Any = None) -> ndarray:
        """A frame as uint8 (H, W, 3) RGB, as a player shows it.

        Its pixels are made square, it is turned and mirrored as the file says, HDR becomes SDR, and transparent
        pixels lie on white: by its own transparency, or by the grey of a frame `alpha`. Raises TooLargeFramesError
        where that takes more memory than the limit allows.
        """
        if alpha is None and self._alpha is not None:
            alpha = self._alpha.alpha_for(frame)
        pixels = self._of_square_pixels(frame, alpha)
        return _orient(pixels, _display_matrix(frame))

    def _of_square_pixels(self, frame: Any, alpha: Any) -> ndarray:
        width = _square_width(frame.width, self._pixel_shape())
        transfer, has_alpha = self._transfer(frame), _has_alpha(frame.format)
        num_bytes = _HDR_BYTES if transfer else _RGBA_BYTES if has_alpha else _RGB_BYTES
        codec, hidden = self._stream.codec_context.name, HIDDEN_FRAMES if self._alpha else _ALPHA_FRAMES if alpha else 0
        check_shown(frame, codec, num_pixels=width * frame.height, bytes_a_pixel=num_bytes, more_frames=hidden)
        target = "gbrp10le" if transfer else "rgba" if has_alpha else "rgb24"
        matrix = self._matrix(frame, is_hdr=transfer is not None)
        converted = self._converter.reformat(frame, width=width, format=target, src_colorspace=matrix)
        if has_alpha and not transfer:
            return _blend_over_white(converted)
        pixels = sdr_table(transfer).convert(converted) if transfer else converted.to_ndarray()
        return pixels if alpha is None else self._blend_alpha(pixels, alpha)

    def _blend_alpha(self, pixels: ndarray, alpha: Any) -> ndarray:
        alpha.color_range = _FULL_RANGE  # whatever it says: it is no image
        height, width = pixels.shape[:2]
        grey = self._alpha_converter.reformat(alpha, width=width, height=height, format="gray8").to_ndarray()
        return laid_over_white(pixels, grey)

    def _pixel_shape(self) -> Fraction:
        """Width of a pixel over its height; the container's value comes before the decoder's."""
        if self._has_square_pixels:
            return Fraction(1)
        shapes = (self._stream.sample_aspect_ratio, self._stream.codec_context.sample_aspect_ratio)
        shape = next((shape for shape in shapes if shape), Fraction(1))
        return shape if Fraction(1, _MOST_STRETCH) <= shape <= _MOST_STRETCH else Fraction(1)

    def _transfer(self, frame: Any) -> Transfer | None:
        """The transfer function of an HDR or BT.2020 frame; None for one that is shown as it is."""
        context = self._stream.codec_context
        code = getattr(frame, "color_trc", _UNSPECIFIED)
        code = context.color_trc if code == _UNSPECIFIED else code
        transfer = _TRANSFERS.get(code)
        if transfer is not None:
            self._warn_once(
                f"is HDR ({transfer.value}): its colours are brought to SDR, its highlights pressed together"
            )
        elif code in _SDR_TRANSFERS and getattr(frame, "color_primaries", context.color_primaries) == _BT2020:
            transfer = Transfer.WIDE
            self._warn_once("has the wide colours of BT.2020: they are brought to those of BT.709")
        return transfer

    def _matrix(self, frame: Any, *, is_hdr: bool) -> int:
        """The colour space to read a frame by; FFmpeg takes all unmarked ones for BT.601, and refuses some."""
        is_large = frame.width >= _HD_WIDTH or frame.height > _SD_HEIGHT
        likely = _BT2020 if is_hdr else _BT709 if is_large else _BT601
        if frame.colorspace in _READ_MATRICES:
            return int(frame.colorspace)
        if frame.colorspace == _BT2020_CONSTANT:
            return _BT2020
        if frame.colorspace not in _UNMARKED:
            self._warn_once(f"may show wrong colours: how it keeps them (matrix {frame.colorspace}) is not known here")
        return likely

    def _warn_once(self, message: str) -> None:
        if message not in self._logged:
            self._logged.add(message)
            logger.warning("%s %s", printable(str(self._path)), message)


def _square_width(width: int, shape: Fraction) -> int:
    return max(1, round(width * shape))


def _has_alpha(form: Any) -> bool:
    return form.has_palette or any(component.is_alpha for component in form.components)


def _blend_over_white(frame: Any) -> ndarray:
    """A frame of format rgba as (H, W, 3)."""
    layer = np.frombuffer(frame.planes[0], np.uint8).reshape(frame.height, -1, 4)
    return over_white(layer[:, : frame.width])


def _display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """The linear part (a, b, c, d) of the display matrix: x' = a x + c y, y' = b x + d y, y downwards."""
    data = next((side for side in frame.side_data if side.type == Type.DISPLAYMATRIX), None)
    if data is None or len(bytes(data)) < 36:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data)[:36])
    return a, b, c, d


def _orient(pixels: ndarray, matrix: tuple[int, int, int, int]) -> ndarray:
    """The pixels turned to whichever of the eight orientations is nearest to a matrix."""
    a, b, c, d = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, along_x, along_y = pixels.transpose(1, 0, 2), c, b
    else:
        along_x, along_y = a, d
    return np.ascontiguousarray(pixels[:: -1 if along_y < 0 else 1, :: -1 if along_x < 0 else 1])
