"""Titles on images, shortened to fit."""

from typing import Any

import numpy as np
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont


def with_titles(pixels: ndarray, titles: list[tuple[float, float, str]], *, size_px: int) -> ndarray:
    """Write titles, centred on (x, y) in pixels."""
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    for x, y, title in titles:
        pen.text((x, y), title, "black", title_font(size_px), "mm")
    return np.asarray(image)


def shorten_title(title: str, width: int, *, size_px: int) -> str:
    """The title, its middle replaced by dots if it is too wide."""
    font, num_kept, text = title_font(size_px), len(title), title
    while font.getlength(text) > width and num_kept > 2:
        num_kept -= 1
        text = f"{title[: num_kept - num_kept // 2]}...{title[len(title) - num_kept // 2 :]}"
    return text


def title_font(size_px: float | int) -> Any:
    """The font of titles of so many pixels."""
    return ImageFont.load_default(size=size_px)
