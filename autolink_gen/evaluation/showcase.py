"""Pictures of a scored model: the best and the worst beside the truth, and the graph on an even choice."""

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

Picture = UInt8[ndarray, "H W 3"]
Drawn = UInt8[ndarray, "h w 3"]
THRESHOLD = 0.25  # edges below this share of the largest weight are not drawn
_TILE_PX = 224
_CAPTION_PX = 20
_TRUE, _PREDICTED = (60, 230, 90), (255, 60, 60)


@dataclass(frozen=True)
class Predictions:
    """What was predicted on N test pictures; `picture` gives the pixels of one.

    `keypoints` are (x, y) in [-1, 1]; `predicted` and `true` landmarks are fractions of the picture's width
    and height from the top left corner; `visible` says which are labelled; `errors_percent` ranks the
    pictures (NaN: nothing to compare with).
    """

    picture: Callable[[int], ndarray]
    keypoints: Float[ndarray, "N K 2"]
    predicted: Float[ndarray, "N P 2"]
    true: Float[ndarray, "N P 2"]
    visible: Bool[ndarray, "N P"]
    errors_percent: Float[ndarray, " N"]


def best_and_worst(predictions: Predictions, edge_weights: Float[Tensor, "K K"], *, count: int = 6) -> Picture:
    """Two rows for the best and two for the worst: landmarks (green true, red predicted) and the graph."""
    ranked = np.argsort(predictions.errors_percent, kind="stable")
    ranked = ranked[np.isfinite(predictions.errors_percent[ranked])]
    count = min(count, len(ranked))
    rows = []
    for name, chosen in (("best", ranked[:count]), ("worst", ranked[::-1][:count])):
        rows.append([_landmark_tile(predictions, int(index), name=name) for index in chosen])
        rows.append([_graph_tile(predictions, int(index), edge_weights) for index in chosen])
    return image_grid(rows, labels=("green: true", "red: predicted"))


def spread_graphs(
    predictions: Predictions, edge_weights: Float[Tensor, "K K"], *, count: int = 40, columns: int = 8
) -> Picture:
    """The graph on `count` of the test pictures, evenly spread over them: a look that no score has chosen."""
    tiles = [_graph_tile(predictions, i, edge_weights) for i in evenly(len(predictions.keypoints), count)]
    return image_grid([tiles[i : i + columns] for i in range(0, len(tiles), columns)])


def from_normalised(points: Float[ndarray, "N P 2"], *, size: int) -> Float[ndarray, "N P 2"]:
    """Points in [-1, 1], the centres of the outer pixels of a square picture, as fractions of its sides."""
    return to_fractions(points, size=size)


def draw_landmarks(
    picture: Picture,
    predicted: Float[ndarray, "P 2"],
    true: Float[ndarray, "P 2"],
    visible: Bool[ndarray, " P"],
) -> Drawn:
    """Draw visible landmarks, fractions of the picture's sides: green where they are, red where predicted."""
    image = Image.fromarray(picture)
    scale = _TILE_PX / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    ends = [(tuple(points[visible] * size - 0.5)) for points in (predicted, true)]
    for there, here in zip(*ends, strict=True):
        pen.line((*there, *here), fill=(255, 255, 255), width=1)
    for points, colour in ((ends[1], _TRUE), (ends[0], _PREDICTED)):
        for x, y in points:
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
    return np.asarray(image)


def _landmark_tile(predictions: Predictions, index: int, *, name: str) -> Picture:
    drawn = draw_landmarks(
        predictions.picture(index),
        predictions.predicted[index],
        predictions.true[index],
        predictions.visible[index],
    )
    return _captioned(drawn, f"{name}: {predictions.errors_percent[index]:.1f} %")


def _graph_tile(predictions: Predictions, index: int, edge_weights: Float[Tensor, "K K"]) -> Picture:
    picture = Image.fromarray(predictions.picture(index))
    picture.thumbnail((2 * _TILE_PX, 2 * _TILE_PX))
    drawn = draw_graph(np.asarray(picture), predictions.keypoints[index], edge_weights, threshold=THRESHOLD)
    image = Image.fromarray(drawn)
    scale = _TILE_PX / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def _captioned(picture: Picture, text: str) -> Drawn:
    image = Image.new("RGB", (picture.shape[1], picture.shape[0] + _CAPTION_PX), "white")
    image.paste(Image.fromarray(picture), (0, _CAPTION_PX))
    font = ImageFont.load_default(size=_CAPTION_PX * 0.7)
    ImageDraw.Draw(image).text((image.width / 2, _CAPTION_PX / 2), text, "black", font, "mm")
    return np.asarray(image)
