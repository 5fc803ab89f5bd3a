"""Titles on pictures: written, shortened where they are too wide."""

from typing import Any

import numpy as np
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont


def with_titles(picture: ndarray, titles: list[tuple[float, float, str]], *, size_px: int) -> ndarray:
    """Write titles, centred on (x, y) in pixels."""
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    for x, y, title in titles:
        pen.text((x, y), title, "black", title_font(size_px), "mm")
    return np.asarray(image)


def shortened(title: str, width: int, *, size_px: int) -> str:
    """The title, without as much of its middle as is too wide."""
    font, kept, short = title_font(size_px), len(title), title
    while font.getlength(short) > width and kept > 2:
        kept -= 1
        short = f"{title[: kept - kept // 2]}...{title[len(title) - kept // 2 :]}"
    return short


def title_font(size_px: float | int) -> Any:
    """The font of titles of so many pixels."""
    return ImageFont.load_default(size=size_px)
