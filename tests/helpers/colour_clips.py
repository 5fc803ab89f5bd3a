"""Clips of vertical bars of known colours, with a chosen matrix, range, transfer function and shape of pixels."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

_RED_AND_BLUE = {"709": (0.2126, 0.0722), "601": (0.299, 0.114), "2020": (0.2627, 0.0593)}


def write_bars(
    path: Path,
    signals: np.ndarray,
    *,
    matrix: str = "709",
    full: bool = False,
    bits: int = 8,
    codec: str = "libx264",
    size: tuple[int, int] = (32, 128),
    shape: Fraction | None = None,
    **marks: int,
) -> Path:
    """Write three frames of bars, RGB signals (N, 3) in [0, 1], marked with `color_trc` and so on."""
    height, width = size
    form = "yuv420p" if bits == 8 else "yuv420p10le"
    planes = _yuv(signals, matrix, full=full, bits=bits)
    bars = np.arange(width) * len(signals) // width
    rows = [np.tile(planes[bars, 0], height), np.tile(planes[bars[::2], 1], height // 2)]
    rows.append(np.tile(planes[bars[::2], 2], height // 2))
    content = np.concatenate(rows).astype(np.uint8 if bits == 8 else np.uint16).reshape(height * 3 // 2, width)
    options = {"qp": "0"} if codec == "libx264" else {"x265-params": "log-level=none:lossless=1"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, form
        if shape is not None:
            stream.codec_context.sample_aspect_ratio = shape
        for name, value in marks.items():
            setattr(stream.codec_context, name, value)
        for i in range(3):
            frame = av.VideoFrame.from_ndarray(content, format=form)
            frame.pts = i
            for name, value in marks.items():
                setattr(frame, name, value)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def bars_of(pixels: np.ndarray, count: int) -> list[list[int]]:
    """The colours in the middles of so many bars."""
    height, width = pixels.shape[:2]
    return [pixels[height // 2, int((i + 0.5) * width / count)].tolist() for i in range(count)]


def far_from(pixels: np.ndarray, colours: Sequence[Sequence[float]] | np.ndarray) -> float:
    """The largest difference between the bars and the colours that they should have, in levels of 255."""
    return float(np.abs(np.array(bars_of(pixels, len(colours))) - np.array(colours)).max())


def _yuv(signals: np.ndarray, matrix: str, *, full: bool, bits: int) -> np.ndarray:
    red_share, blue_share = _RED_AND_BLUE[matrix]
    red, green, blue = signals.T
    luma = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
    chroma = (blue - luma) / 2 / (1 - blue_share), (red - luma) / 2 / (1 - red_share)
    unit, most = 2 ** (bits - 8), 2**bits - 1
    scale, low, middle = (most, 0, most) if full else (219 * unit, 16 * unit, 224 * unit)
    columns = [low + scale * luma, *(128 * unit + middle * one for one in chroma)]
    return np.clip(np.round(np.stack(columns, axis=1)), 0, most)
