"""Images of a scored model: its best and worst predictions, and its graph."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from autolink_gen.common.spread import evenly
from autolink_gen.ops.pixels import to_fractions
from autolink_gen.viz.graphs import draw_graph, image_grid

Pixels = UInt8[ndarray, "H W 3"]
Tile = UInt8[ndarray, "h w 3"]
THRESHOLD = 0.25  # edges below this share of the largest weight are not drawn
_TILE_PX = 224
_CAPTION_PX = 20
_TRUE, _PREDICTED = (60, 230, 90), (255, 60, 60)


@dataclass(frozen=True)
class Predictions:
    """Predictions on N test images; `read_image` gives the pixels of one.

    `keypoints` are (x, y) in [-1, 1]; `predicted` and `true` landmarks are fractions of the image's width
    and height from the top left corner; `visible` says which are labelled; `errors_percent` ranks the
    images (NaN: nothing to compare with).
    """

    read_image: Callable[[int], ndarray]
    keypoints: Float[ndarray, "N K 2"]
    predicted: Float[ndarray, "N P 2"]
    true: Float[ndarray, "N P 2"]
    visible: Bool[ndarray, "N P"]
    errors_percent: Float[ndarray, " N"]


def best_and_worst(predictions: Predictions, edge_weights: Float[Tensor, "K K"], *, count: int = 6) -> Pixels:
    """The best and the worst predictions: landmarks (green true, red predicted) and graphs."""
    ranked = np.argsort(predictions.errors_percent, kind="stable")
    ranked = ranked[np.isfinite(predictions.errors_percent[ranked])]
    count = min(count, len(ranked))
    rows = []
    for name, indices in (("best", ranked[:count]), ("worst", ranked[::-1][:count])):
        rows.append([_landmark_tile(predictions, int(index), name=name) for index in indices])
        rows.append([_graph_tile(predictions, int(index), edge_weights) for index in indices])
    return image_grid(rows, labels=("green: true", "red: predicted"))


def spread_graphs(
    predictions: Predictions, edge_weights: Float[Tensor, "K K"], *, count: int = 40, columns: int = 8
) -> Pixels:
    """The graph on `count` evenly spread test images, not chosen by score."""
    tiles = [_graph_tile(predictions, i, edge_weights) for i in evenly(len(predictions.keypoints), count)]
    return image_grid([tiles[i : i + columns] for i in range(0, len(tiles), columns)])


def from_normalised(points: Float[ndarray, "N P 2"], *, size: int) -> Float[ndarray, "N P 2"]:
    """Points in [-1, 1] of a square image as fractions of its sides.

    -1 and 1 are the centres of the outer pixels.
    """
    return to_fractions(points, size=size)


def draw_landmarks(
    pixels: Pixels,
    predicted: Float[ndarray, "P 2"],
    true: Float[ndarray, "P 2"],
    visible: Bool[ndarray, " P"],
) -> Tile:
    """Draw visible landmarks (green) and predicted ones (red), in fractions of the sides."""
    image = Image.fromarray(pixels)
    scale = _TILE_PX / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    ends = [(tuple(points[visible] * size - 0.5)) for points in (predicted, true)]
    for predicted_point, true_point in zip(*ends, strict=True):
        pen.line((*predicted_point, *true_point), fill=(255, 255, 255), width=1)
    for points, colour in ((ends[1], _TRUE), (ends[0], _PREDICTED)):
        for x, y in points:
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
    return np.asarray(image)


def _landmark_tile(predictions: Predictions, index: int, *, name: str) -> Pixels:
    tile = draw_landmarks(
        predictions.read_image(index),
        predictions.predicted[index],
        predictions.true[index],
        predictions.visible[index],
    )
    return _add_caption(tile, f"{name}: {predictions.errors_percent[index]:.1f} %")


def _graph_tile(predictions: Predictions, index: int, edge_weights: Float[Tensor, "K K"]) -> Pixels:
    thumbnail = Image.fromarray(predictions.read_image(index))
    thumbnail.thumbnail((2 * _TILE_PX, 2 * _TILE_PX))
    tile = draw_graph(np.asarray(thumbnail), predictions.keypoints[index], edge_weights, threshold=THRESHOLD)
    image = Image.fromarray(tile)
    scale = _TILE_PX / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def _add_caption(pixels: Pixels, text: str) -> Tile:
    image = Image.new("RGB", (pixels.shape[1], pixels.shape[0] + _CAPTION_PX), "white")
    image.paste(Image.fromarray(pixels), (0, _CAPTION_PX))
    font = ImageFont.load_default(size=_CAPTION_PX * 0.7)
    ImageDraw.Draw(image).text((image.width / 2, _CAPTION_PX / 2), text, "black", font, "mm")
    return np.asarray(image)
