"""Drawings of keypoints, graphs and training runs, as uint8 arrays."""

import colorsys
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw
from torch import Tensor

from autolink_gen.ops.keypoints import linked_keypoints
from autolink_gen.ops.pixels import enlarge_pixels, to_pixels
from autolink_gen.ops.ranges import check_bytes
from autolink_gen.viz.titles import shorten_title, title_font, with_titles

Pixels = UInt8[ndarray, "_ _ 3"]  # height, width, RGB
Points = Float[ndarray, "K 2"] | Float[Tensor, "K 2"]
Weights = Float[ndarray, "K K"] | Float[Tensor, "K K"]
TRAINING_COLUMNS = ("input", "masked", "reconstruction", "edge map", "keypoints")
_PIECE_PX = 48.0
_MAX_ENLARGED_SIDE = 16_000  # pixels: nothing is enlarged beyond; H.264 ends there, and so would memory
_STRIP_PX = 4_000_000  # edges are drawn into so many pixels at a time: their layers take 12 bytes for each


def keypoint_colours(num_keypoints: int) -> UInt8[ndarray, "K 3"]:
    """A distinct RGB colour for each keypoint, independent of `num_keypoints`."""
    golden = 0.61803398875
    tones = ((0.85, 1.0), (1.0, 0.75), (0.5, 1.0))
    colours = [colorsys.hsv_to_rgb(i * golden % 1.0, *tones[i // 6 % 3]) for i in range(num_keypoints)]
    return (np.array(colours, dtype=np.float64).reshape(-1, 3) * 255).round().astype(np.uint8)


def edges_by_weight(edge_weights: Weights) -> list[tuple[int, int, float]]:
    """The edges (i, j, weight), i < j, of a symmetric weight matrix, heaviest first."""
    weights = _numpy(edge_weights)
    i, j = np.triu_indices(len(weights), k=1)
    order = np.argsort(-weights[i, j], kind="stable")
    return [(int(i[e]), int(j[e]), float(weights[i[e], j[e]])) for e in order]


def strong_edges(edge_weights: Weights, *, threshold: float) -> list[tuple[int, int, float]]:
    """The edges (i, j, share of the largest weight) of at least `threshold`, heaviest first.

    There are none if no weight is positive.
    """
    edges = edges_by_weight(edge_weights)
    largest = edges[0][2] if edges else 0.0
    if not largest > 0:
        return []
    shares = [(i, j, weight / largest) for i, j, weight in edges]
    return [edge for edge in shares if edge[2] > 0 and edge[2] >= threshold]


def draw_graph(
    image: Pixels,
    keypoints: Points,
    edge_weights: Weights | None = None,
    *,
    threshold: float = 0.0,
    min_side: int = 192,
    colours: UInt8[ndarray, "K 3"] | None = None,
    dot_px: float = 3.6,
) -> Pixels:
    """Draw keypoints as dots and edges as lines over a copy of an image.

    Keypoints are (x, y) in [-1, 1], -1 and 1 the centres of the outer pixels; those that are not finite are
    left out, and so are those without edges where others have some. Opacity and width of an edge follow its
    weight divided by the largest one (AutoLink, Figure 1); edges below the share `threshold` of the largest are
    left out, and all are where no weight is positive. Images whose shorter side has less than `min_side` pixels
    are enlarged by a whole factor, the longer side to 16,000 pixels at most. With `colours` (RGB, one a keypoint)
    an edge between two keypoints of one colour takes it; other edges are white. A dot's radius is ``dot_px`` where
    the shorter side has 192 pixels or less, and grows with it. Raises ValueError for an image that is not uint8.
    """
    check_bytes(image)
    canvas, points = _enlarge(image, _numpy(keypoints), min_side=min_side)
    unit = max(1.0, min(canvas.shape[:2]) / 192)
    if edge_weights is not None:
        edges = strong_edges(edge_weights, threshold=threshold)
        edge_colours = [_shared_colour(colours, i, j) for i, j, _ in edges]
        rows = max(1, _STRIP_PX // canvas.shape[1])
        for top in range(0, canvas.shape[0], rows):
            _draw_edges(canvas[top : top + rows], points - (0, top), edges, edge_colours, unit)
    dots = keypoint_colours(len(points)) if colours is None else colours
    for index in range(len(points)) if edge_weights is None else _linked_indices(edge_weights):
        point, dot = points[index], dots[index]
        for box, distance in _stroke(point, point, dot_px * unit, canvas.shape):
            rimmed = _mix(canvas[box], np.zeros(3, np.uint8), _cover(distance, dot_px * unit))
            canvas[box] = _mix(rimmed, dot, _cover(distance, 0.75 * dot_px * unit))
    return canvas


def image_grid(
    rows: Sequence[Sequence[ndarray]],
    *,
    padding: int = 4,
    labels: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> Pixels:
    """Lay out rows of uint8 images, (H, W, 3) or grey (H, W), in a white grid.

    Cells have the size of the largest image, `padding` is in pixels, `labels` are titles of the columns, shortened
    in the middle where they are too wide, and `names` of the rows, to their left. Rows may differ in length. Raises
    ValueError where there is no image at all, or one that is not uint8.
    """
    images = [image for row in rows for image in row]
    if not images:
        raise ValueError("image_grid: rows is empty; give at least one image")
    for image in images:
        check_bytes(image)
    cell_h = max(image.shape[0] for image in images)
    cell_w = max(image.shape[1] for image in images)
    num_columns = max(len(row) for row in rows)
    font_px = max(10, cell_w // 12)
    top = padding + (font_px * 3 // 2 if labels else 0)
    left = padding + (math.ceil(max(title_font(font_px).getlength(name) for name in names)) + font_px if names else 0)
    corners = [
        [(top + r * (cell_h + padding), left + c * (cell_w + padding)) for c in range(num_columns)]
        for r in range(len(rows))
    ]
    grid = np.full((top + len(rows) * (cell_h + padding), left + num_columns * (cell_w + padding), 3), 255, np.uint8)
    for row, places in zip(rows, corners, strict=True):
        for image, (cell_y, cell_x) in zip(row, places, strict=False):
            height, width = image.shape[:2]
            y, x = cell_y + (cell_h - height) // 2, cell_x + (cell_w - width) // 2
            grid[y : y + height, x : x + width] = image if image.ndim == 3 else image[..., None]
    labels = [shorten_title(label, cell_w, size_px=font_px) for label in labels or ()]
    titles = [(x + cell_w / 2, top / 2, label) for (_, x), label in zip(corners[0], labels, strict=False)]
    titles += [(left / 2, places[0][0] + cell_h / 2, name) for places, name in zip(corners, names or (), strict=False)]
    return with_titles(grid, titles, size_px=font_px) if titles else grid


def to_uint8(images: Float[Tensor, "B 3 H W"]) -> UInt8[ndarray, "B H W 3"]:
    """Images in [0, 1], clipped, as uint8 arrays."""
    return to_bytes(images).cpu().numpy()


def to_bytes(images: Float[Tensor, "B 3 H W"]) -> UInt8[Tensor, "B H W 3"]:
    """Images in [0, 1], clipped, as bytes where they are: a quarter of the way from a device."""
    scaled = (images.detach().float() * 255).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1)


def draw_graphs(
    images: Float[Tensor, "B 3 H W"],
    keypoints: Float[Tensor, "B K 2"],
    edge_weights: Float[Tensor, "K K"] | None = None,
    *,
    threshold: float = 0.0,
    min_side: int = 192,
) -> list[ndarray]:
    """Draw the graph of each of a batch of images in [0, 1]; see `draw_graph`."""
    return [
        draw_graph(image, points, edge_weights, threshold=threshold, min_side=min_side)
        for image, points in zip(to_uint8(images), _numpy(keypoints), strict=True)
    ]


def blend_edges(images: Float[Tensor, "B 3 H W"], edge_maps: Float[Tensor, "B 1 H W"]) -> UInt8[ndarray, "B H W 3"]:
    """Blend edge maps as white over images in [0, 1] (AutoLink, Figures 9-21)."""
    share = edge_maps.clamp(0, 1)
    return to_uint8(images * (1 - share) + share)


def training_grid(
    images: Float[Tensor, "B 3 H W"],
    masked: Float[Tensor, "B 3 H W"],
    reconstructions: Float[Tensor, "B 3 H W"],
    edge_maps: Float[Tensor, "B 1 h w"],
    overlays: Sequence[ndarray],
) -> Pixels:
    """A row for each sample: input, masked, reconstruction, edge map, keypoints.

    Images are in [0, 1]; edge maps are divided by the largest value of the batch; `overlays` are uint8
    images (`draw_graphs`), to whose size the others are enlarged.
    """
    maps = edge_maps.detach().float()
    maps = (maps / maps.amax().clamp_min(1e-12)).expand(-1, 3, -1, -1)
    columns = [to_uint8(batch) for batch in (images, masked, reconstructions, maps)]
    rows = []
    for *tiles, overlay in zip(*columns, overlays, strict=True):
        size = (overlay.shape[1], overlay.shape[0])
        rows.append([_resize(image, size) for image in tiles] + [overlay])
    return image_grid(rows, labels=TRAINING_COLUMNS)


def graph_on_mean_pose(
    mean_keypoints: Points,
    edge_weights: Weights,
    *,
    threshold: float = 0.0,
    side_px: int = 640,
    colours: UInt8[ndarray, "K 3"] | None = None,
    legend: Sequence[tuple[str, ndarray]] = (),
) -> Pixels:
    """Draw the graph on the mean pose, (x, y) in [-1, 1], numbered, in a dark square.

    `legend` names colours, in the upper left corner. Keypoints without edges are left out where others have some.
    """
    points, linked = _numpy(mean_keypoints), _linked_indices(edge_weights)
    low, high = points[linked].min(axis=0), points[linked].max(axis=0)
    reach = max(float((high - low).max()) / 2, 1e-6)
    points = (points - (low + high) / 2) / reach * 0.8
    blank = np.full((side_px, side_px, 3), 28, np.uint8)
    overlay = draw_graph(blank, points, edge_weights, threshold=threshold, colours=colours)
    image = Image.fromarray(overlay)
    pen, font = ImageDraw.Draw(image), title_font(side_px / 36)
    for index in linked:
        x, y = to_pixels(points[index], size=side_px)
        place = (x + side_px / 45, y - side_px / 45)
        pen.text(place, str(index), "white", font, "lb", stroke_width=2, stroke_fill="black")
    for row, (text, colour) in enumerate(legend):
        pen.text((side_px / 60, side_px / 60 + row * side_px / 30), text, tuple(colour.tolist()), font)
    return np.asarray(image)


def painted_grid(
    images: Float[Tensor, "N 3 S S"],
    keypoints: Float[Tensor, "N K 2"],
    edge_weights: Float[Tensor, "K K"],
    rows: Sequence[Float[Tensor, "N 3 S S"]],
    *,
    side_px: int = 128,
) -> Pixels:
    """A row of images in [0, 1] with their graphs, and rows of images painted on their poses."""
    above = draw_graphs(images, keypoints, edge_weights, threshold=0.1)
    return even_grid([above, *(to_uint8(row) for row in rows)], side_px=side_px)


def even_grid(rows: Sequence[Sequence[ndarray] | ndarray], *, side_px: int = 128, padding: int = 4) -> Pixels:
    """Rows of square uint8 images, all brought to one size, `padding` pixels apart."""
    return image_grid([[_resize(image, (side_px, side_px)) for image in row] for row in rows], padding=padding)


def _linked_indices(edge_weights: Weights) -> list[int]:
    linked: list[int] = linked_keypoints(torch.from_numpy(_numpy(edge_weights))).tolist()
    return linked


def _numpy(values: ndarray | Tensor) -> ndarray:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    return np.asarray(array, dtype=np.float64)


def _resize(image: ndarray, size: tuple[int, int]) -> ndarray:
    if (image.shape[1], image.shape[0]) == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _enlarge(image: ndarray, keypoints: ndarray, *, min_side: int) -> tuple[ndarray, ndarray]:
    """A copy enlarged by a whole factor to `min_side`, and the keypoints in its pixels."""
    height, width = image.shape[:2]
    most = _MAX_ENLARGED_SIDE // max(height, width)
    factor = max(1, min(most, math.ceil(min_side / min(height, width))))
    points = to_pixels(keypoints, size=(width, height))
    return _resize(image, (width * factor, height * factor)).copy(), enlarge_pixels(points, factor)


def _shared_colour(colours: ndarray | None, i: int, j: int) -> ndarray:
    same = colours is not None and (colours[i] == colours[j]).all()
    return colours[i] if colours is not None and same else np.full(3, 255, np.uint8)


def _draw_edges(
    canvas: ndarray, points: ndarray, edges: list[tuple[int, int, float]], colours: list[ndarray], unit: float
) -> None:
    """Draw edges: a pixel takes the colour of the edge that covers it most (AutoLink eq. 4)."""
    opacity = np.zeros(canvas.shape[:2], np.float32)
    rim = np.zeros(canvas.shape[:2], np.float32)
    layer = np.zeros_like(canvas)
    for (i, j, share), colour in zip(edges, colours, strict=True):
        radius = unit * (0.4 + 0.8 * share)
        for box, distance in _stroke(points[i], points[j], radius + unit, canvas.shape):
            np.maximum(rim[box], 0.5 * share * _cover(distance, radius + unit), out=rim[box])
            cover = share * _cover(distance, radius)
            better = cover > opacity[box]
            opacity[box][better] = cover[better]
            layer[box][better] = colour
    touched = rim > 0
    rimmed = _mix(canvas[touched], np.zeros(3, np.uint8), rim[touched])
    canvas[touched] = _mix(rimmed, layer[touched], opacity[touched])


def _stroke(
    start: ndarray, end: ndarray, reach_px: float, shape: tuple[int, ...]
) -> Iterator[tuple[tuple[slice, slice], ndarray]]:
    """Boxes along a segment, (x, y) in pixels, with their pixels' distances from it.

    Long segments come in pieces, so that the work grows with the length and not with the box of a diagonal.
    """
    first, last = _inside(start, end, reach_px + 1, shape)
    if not first <= last:
        return
    num_pieces = max(1, math.ceil(float(np.abs(end - start).max()) * (last - first) / _PIECE_PX))
    corners = [start + (end - start) * t for t in np.linspace(first, last, num_pieces + 1)]
    for a, b in pairwise(corners):
        low = np.floor(np.minimum(a, b) - reach_px - 1).clip(0, (shape[1], shape[0])).astype(int)
        high = np.ceil(np.maximum(a, b) + reach_px + 2).clip(0, (shape[1], shape[0])).astype(int)
        if (high <= low).any():
            continue
        x, y = np.arange(low[0], high[0]) - a[0], (np.arange(low[1], high[1]) - a[1])[:, None]
        dx, dy = b - a
        t = ((x * dx + y * dy) / max(dx * dx + dy * dy, 1e-12)).clip(0, 1)
        distance = np.sqrt((x - t * dx) ** 2 + (y - t * dy) ** 2)
        yield (slice(low[1], high[1]), slice(low[0], high[0])), distance


def _inside(start: ndarray, end: ndarray, margin_px: float, shape: tuple[int, ...]) -> tuple[float, float]:
    """The range of a segment, in shares of its length, that lies on the canvas or its margin.

    The first share is greater than the last, or not a number, if there is no such range.
    """
    if not (np.isfinite(start).all() and np.isfinite(end).all()):
        return 1.0, 0.0
    first, last = 0.0, 1.0
    for origin, way, side in zip(start, end - start, (shape[1], shape[0]), strict=True):
        low, high = -margin_px - origin, side + margin_px - origin
        if way == 0:
            if low > 0 or high < 0:
                return 1.0, 0.0
            continue
        first = max(first, min(low / way, high / way))
        last = min(last, max(low / way, high / way))
    return first, last


def _cover(distance: ndarray, radius_px: float) -> ndarray:
    """How much of each pixel a stroke covers, in [0, 1]: an edge one pixel wide."""
    return (radius_px + 0.5 - distance).clip(0, 1)


def _mix(under: ndarray, over: ndarray, opacity: ndarray) -> ndarray:
    return (under + (over.astype(np.float32) - under) * opacity[..., None]).round().astype(np.uint8)
