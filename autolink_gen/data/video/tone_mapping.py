"""Tone mapping of HDR (HLG and PQ, BT.2100) and of BT.2020 colours to SDR, by a table."""

from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8, UInt32
from numpy import ndarray

_BITS = 7  # a colour's share of the table's index
_STEPS = 2**_BITS
_SIGNALS = 2**10  # of the frames that the table is for
_STRIP_PX = 2**16  # few enough for the processor's cache
_WHITE_NITS = 203.0  # of HDR's reference white, BT.2408
_HLG_PEAK_NITS, _PQ_PEAK_NITS = 1000.0, 10_000.0
_KNEE = 0.8  # of the light of SDR white: so much is shown as it is, the brighter is pressed into the rest
_SCREEN_GAMMA = 2.4  # BT.1886
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593])  # of BT.2020
_BT2020_TO_BT709 = np.array(  # BT.2087
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
)


class Transfer(Enum):
    """Transfer functions: HLG and PQ of BT.2100, and an SDR screen's gamma with BT.2020's primaries."""

    HLG = "HLG"
    PQ = "PQ"
    WIDE = "BT.2020"


@dataclass(frozen=True)
class SdrTable:
    """A lookup table for 10-bit colours: three columns of index parts, one of colours packed into 32 bits.

    The steps are even in what a grey becomes, so that one is never off by more than a level of 255.
    """

    parts: tuple[UInt32[ndarray, "1024"], UInt32[ndarray, "1024"], UInt32[ndarray, "1024"]]
    colours: UInt32[ndarray, "2097152"]

    def convert(self, frame: Any) -> UInt8[ndarray, "H W 3"]:
        """The SDR pixels of a frame whose format is gbrp10le; works strip by strip, in little memory."""
        planes = [np.frombuffer(plane, "<u2").reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes]
        height, width = planes[0].shape
        result = np.empty((height, width, 3), np.uint8)
        rows = max(1, _STRIP_PX // width)
        for top in range(0, height, rows):
            green, blue, red = (plane[top : top + rows] for plane in planes)
            index = self.parts[0].take(red, mode="clip")
            index |= self.parts[1].take(green, mode="clip")
            index |= self.parts[2].take(blue, mode="clip")
            packed = self.colours.take(index, mode="clip").view(np.uint8)
            result[top : top + rows] = packed.reshape(*index.shape, 4)[..., :3]
        return result


@cache
def sdr_table(transfer: Transfer) -> SdrTable:
    """The table of a transfer function, made once; it takes 8 MiB."""
    signals = np.linspace(0, 1, _SIGNALS, dtype=np.float32)
    greys = to_sdr(np.repeat(signals[:, None], 3, axis=1), transfer)[:, 0]
    steps = np.round(greys * (_STEPS - 1)).astype(np.uint32)
    of_steps = np.interp(np.linspace(0, 1, _STEPS), greys, signals).astype(np.float32)
    colours = np.zeros((_STEPS, _STEPS, _STEPS, 4), np.uint8)
    grid = np.empty((_STEPS, _STEPS, 3), np.float32)
    grid[..., 1], grid[..., 2] = of_steps[:, None], of_steps
    for red, plane in zip(of_steps, colours, strict=True):
        grid[..., 0] = red
        plane[..., :3] = np.round(255 * to_sdr(grid, transfer))
    parts = steps << (2 * _BITS), steps << _BITS, steps
    return SdrTable(parts, colours.view(np.uint32).ravel())


def to_sdr(signal: Float[ndarray, "*shape 3"], transfer: Transfer) -> Float[ndarray, "*shape 3"]:
    """RGB signals in [0, 1] with BT.2020's primaries, as signals in [0, 1] of an SDR screen (BT.709, BT.1886).

    HDR's reference white of 203 nits (BT.2408) is SDR's white. Light above 0.8 of it is pressed together by a curve
    (Reinhard's, extended) that ends at the peak, with the colour's hue kept; colours beyond BT.709 are clipped.
    """
    light = np.clip(_light(signal, transfer) @ _BT2020_TO_BT709.T.astype(signal.dtype), 0, None)
    brightest = light.max(axis=-1, keepdims=True)
    peak = {Transfer.HLG: _HLG_PEAK_NITS, Transfer.PQ: _HLG_PEAK_NITS, Transfer.WIDE: _WHITE_NITS}[transfer]
    compressed = _compress_highlights(brightest, peak=peak / _WHITE_NITS)
    shares = np.divide(light, brightest, out=np.zeros_like(light), where=brightest > 0)
    return np.clip(shares * compressed, 0, 1) ** (1 / _SCREEN_GAMMA)


def _compress_highlights(light: ndarray, *, peak: float) -> ndarray:
    """Light in units of SDR white, at most 1: unchanged below the knee, a peak of 1 leaves all as it is."""
    if peak <= 1:
        return light
    above, most = (np.clip(light, _KNEE, peak) - _KNEE) / (1 - _KNEE), (peak - _KNEE) / (1 - _KNEE)
    return np.where(light > _KNEE, _KNEE + (1 - _KNEE) * above * (1 + above / most**2) / (1 + above), light)


def _light(signal: ndarray, transfer: Transfer) -> ndarray:
    """The light of a screen, in units of SDR white."""
    if transfer is Transfer.WIDE:
        return signal**_SCREEN_GAMMA
    return _hlg_nits(signal) / _WHITE_NITS if transfer is Transfer.HLG else _pq_nits(signal) / _WHITE_NITS


def _hlg_nits(signal: ndarray) -> ndarray:
    """BT.2100 table 5: the inverse OETF, then the OOTF of a screen of 1000 nits, whose gamma is 1.2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return _HLG_PEAK_NITS * (scene @ _LUMINANCE.astype(signal.dtype))[..., None] ** 0.2 * scene


def _pq_nits(signal: ndarray) -> ndarray:
    """BT.2100 table 4: the EOTF."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = signal ** (1 / m2)
    return _PQ_PEAK_NITS * (np.clip(power - c1, 0, None) / (c2 - c3 * power)) ** (1 / m1)
