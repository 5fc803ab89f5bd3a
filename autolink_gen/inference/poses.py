"""The poses to paint, from images or files of keypoints, and a user's edits."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from autolink_gen.common.files import BadFileError, reading
from autolink_gen.common.text import from_cell, shown, typed
from autolink_gen.data.images import read_image
from autolink_gen.data.tables import open_rows, to_number
from autolink_gen.inference.detect import SourceImage, detect_images
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.keypoints import linked_keypoints

_REMEDY = (
    'give {"keypoints": [[x, y], ...]} with x and y in [-1, 1], or the keypoints.json or keypoints.csv that '
    "`autolink-gen detect` writes"
)
_COLUMNS = ("file", "frame", "width_px", "height_px")
_NAME_LENGTH, _MAX_SEEDS = 100, 10_000


@dataclass(frozen=True)
class NamedPose:
    """Keypoints (K, 2), (x, y) in [-1, 1], and the name of what is painted on them."""

    name: str
    keypoints: Float[Tensor, "K 2"]


def read_poses(path: Path, graph: AutoLink) -> list[NamedPose]:
    """The poses in a file: detected in an image, or read from JSON or CSV.

    Such a file holds {"keypoints": [[x, y], ...]} in [-1, 1], or a list of such poses under "keypoints", or is what
    `autolink-gen detect` wrote, also as a spreadsheet saves its table. Keypoints that such a file leaves out are put at
    (0, 0) where the graph has no edges to them either. Raises ValueError for another form, another number of
    keypoints, keypoints that are missing, or values out of range.
    """
    if not path.exists():
        raise ValueError(f"there is no file {path}; give an image, a video or a file of keypoints that exists")
    readers = {".json": _read_json, ".csv": _read_csv}
    if path.suffix.lower() in readers:
        kind = path.suffix[1:].upper()
        with reading(path, f"{kind} of keypoints", remedy=_REMEDY):
            return _poses(readers[path.suffix.lower()](path), path, graph)
    if path.is_dir():
        raise ValueError(
            f"{path} is a folder: give one image or video of it, or run autolink-gen detect {typed(path)} and "
            f"give the keypoints.json or keypoints.csv that it writes"
        )
    image = SourceImage(path, 0, None, np.asarray(read_image(path)))
    (detection,) = detect_images(graph, [image])
    return [NamedPose(path.stem, torch.from_numpy(detection.keypoints).float())]


def _poses(named_points: list[tuple[str, Any]], path: Path, graph: AutoLink) -> list[NamedPose]:
    """Check named keypoints in [-1, 1]; BadFileError names the pose that is wrong."""
    if not named_points:
        raise BadFileError(f"{path} holds no pose")
    count = graph.config.num_keypoints
    painted_on = set(linked_keypoints(graph.edge_weights).tolist())
    poses = []
    for name, points in named_points:
        where = str(path) if len(named_points) == 1 else f"{path}, pose {name},"
        poses.append(NamedPose(name, _check_pose(_fill_missing(points, where, painted_on), where, count)))
    return poses


def _read_json(path: Path) -> list[tuple[str, Any]]:
    return _poses_in_json(json.loads(path.read_bytes()), path)  # of bytes it knows the encoding


def _read_csv(path: Path) -> list[tuple[str, Any]]:
    """Names and keypoints in [-1, 1] of a table's rows; None for keypoints without columns."""
    with open_rows(path) as rows:
        header = [cell.strip() for cell in next(rows, (0, []))[1]]
        column = {name: place for place, name in enumerate(header)}
        numbers = [int(name[1:-3]) for name in header if re.fullmatch(r"x\d{1,3}_px", name, re.ASCII)]
        columns = [*_COLUMNS, *(f"{axis}{number}_px" for number in numbers or [0] for axis in "xy")]
        if missing := [name for name in columns if name not in column]:
            raise BadFileError(f"{path} lacks the column(s) {', '.join(missing[:6])}: {_REMEDY}")
        return [_pose_of(row, column, numbers, f"{path}, row {number}") for number, row in rows]


def _pose_of(row: list[str], column: dict[str, int], numbers: list[int], where: str) -> tuple[str, Any]:
    """The name and the keypoints in [-1, 1] of one row of a table."""

    def value(name: str) -> float:
        cell = row[column[name]] if column[name] < len(row) else ""
        try:
            coordinate = to_number(cell)
        except ValueError:
            coordinate = math.nan
        if not math.isfinite(coordinate):
            raise BadFileError(
                f"{where}, column {name}: '{shown(cell.strip())}' is no number; mend or leave out that row"
            )
        return coordinate

    points: list[list[float] | None] = [None] * (max(numbers) + 1)
    for number in numbers:
        points[number] = [value(f"x{number}_px"), value(f"y{number}_px")]
    item = {"file": from_cell(row[column["file"]]), "frame": row[column["frame"]].strip(), "keypoints_px": points}
    sides = {name: round(value(name)) for name in ("width_px", "height_px")}
    return _name_of(item), _normalise({**item, **sides})


def _poses_in_json(values: Any, path: Path) -> list[tuple[str, Any]]:
    """Names and keypoints in [-1, 1] of every pose in what a JSON file holds."""
    try:
        if isinstance(values, dict) and "pictures" in values:  # what detect wrote: pixels
            return [(_name_of(item), _normalise(item)) for item in values["pictures"]]
        points = values["keypoints"]
        if isinstance(points[0][0], list):
            return [(f"{path.stem}-{index}", pose) for index, pose in enumerate(points)]
        return [(path.stem, points)]
    except (KeyError, TypeError, IndexError, ZeroDivisionError):
        raise BadFileError(f"{path} does not hold keypoints: {_REMEDY}") from None


def _name_of(item: dict[str, Any]) -> str:
    """The name of a pose, made safe for file names from the untrusted file's words."""
    name = f"{Path(item['file']).stem}-{item['frame']}"
    return re.sub(r"[^\w.+-]", "_", name)[:_NAME_LENGTH]


def _normalise(item: dict[str, Any]) -> list[list[float] | None]:
    spans = [max(1, item["width_px"] - 1), max(1, item["height_px"] - 1)]
    return [point and _scale_point(point, spans) for point in item["keypoints_px"]]


def _scale_point(point: list[float], spans: list[int]) -> list[float]:
    return [2 * value / span - 1 for value, span in zip(point, spans, strict=True)]


def _fill_missing(points: Any, path: str, painted_on: set[int]) -> Any:
    """The points, (0, 0) for missing ones; BadFileError if one is ``painted_on``."""
    if not isinstance(points, list) or None not in points:
        return points
    missing = [index for index, point in enumerate(points) if point is None]
    if needed := sorted(painted_on.intersection(missing)):
        raise BadFileError(
            f"{path} leaves out the keypoints {', '.join(map(str, needed))}, which the GAN paints on: detect them "
            f"without --drop-cluster or --min-likelihood, or train the GAN with the same --drop-cluster"
        )
    return [[0.0, 0.0] if point is None else point for point in points]


def _check_pose(points: Any, path: str, num_keypoints: int) -> Float[Tensor, "K 2"]:
    try:
        keypoints = torch.tensor(points, dtype=torch.float32)
    except (ValueError, TypeError, RuntimeError):
        raise BadFileError(f"{path}: a pose is a list of [x, y], two numbers, got {shown(points, most=80)}") from None
    if not isinstance(points, list) or keypoints.ndim != 2 or keypoints.shape[1] != 2:
        raise BadFileError(f"{path}: a pose is a list of [x, y], two numbers, got {shown(points, most=80)}")
    if len(points) != num_keypoints:
        raise BadFileError(
            f"{path} holds {len(points)} keypoints and the GAN's graph has {num_keypoints}: detect them with that graph"
        )
    if not keypoints.isfinite().all():
        raise BadFileError(f"{path} holds keypoints that are no finite numbers: mend or leave out that pose")
    if keypoints.abs().max() > 1:
        worst = keypoints.abs().max().item()
        raise BadFileError(f"{path} holds keypoints outside [-1, 1] (the farthest at {worst:.3g}); scale them")
    return keypoints


@dataclass(frozen=True)
class PoseEdits:
    """A user's edits: keypoints moved, pairs swapped, keypoints removed from the graph.

    Moves are (keypoint, x, y) in an image that is 2 wide and 2 high.
    """

    moves: tuple[tuple[int, float, float], ...] = ()
    swaps: tuple[tuple[int, int], ...] = ()
    removed: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.moves or self.swaps or self.removed)

    def apply(self, keypoints: Float[Tensor, "B K 2"]) -> Float[Tensor, "B K 2"]:
        """The edited poses: swaps first, then moves."""
        changed = keypoints.clone()
        for first, second in self.swaps:
            changed[:, [first, second]] = changed[:, [second, first]]
        for index, x, y in self.moves:
            changed[:, index] += torch.tensor([x, y]).to(changed)
        return changed

    def edge_weights(self, weights: Float[Tensor, "K K"]) -> Float[Tensor, "K K"]:
        """The graph's weights without the edges of removed keypoints."""
        remaining = weights.clone()
        for index in self.removed:
            remaining[index, :] = 0
            remaining[:, index] = 0
        return remaining


def parse_edits(*, moves: Sequence[str], swaps: Sequence[str], removed: Sequence[int], num_keypoints: int) -> PoseEdits:
    """Edits from texts such as ``3:+0.1,-0.05``, ``2,5`` and ``4``.

    Raises ValueError for another form or an unknown keypoint.
    """
    edits = PoseEdits(
        tuple(_parse_move(text) for text in moves), tuple(_parse_swap(text) for text in swaps), tuple(removed)
    )
    indices = [move[0] for move in edits.moves] + [index for pair in edits.swaps for index in pair] + list(removed)
    for index in indices:
        if not 0 <= index < num_keypoints:
            raise ValueError(f"there is no keypoint {index}: the graph's are 0 to {num_keypoints - 1}")
    return edits


def _parse_move(text: str) -> tuple[int, float, float]:
    try:
        index, way = text.split(":")
        x, y = (float(value) for value in way.split(","))
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError
        keypoint = int(index)
    except ValueError:
        raise ValueError(f"--move takes KEYPOINT:X,Y, as in 3:+0.1,-0.05, got {text!r}") from None
    if max(abs(x), abs(y)) > 2:
        raise ValueError(f"--move {text} leads out of the image, which is 2 wide and 2 high: move it by less")
    return keypoint, x, y


def _parse_swap(text: str) -> tuple[int, int]:
    try:
        first, second = (int(value) for value in text.split(","))
    except ValueError:
        raise ValueError(f"--swap takes two keypoints, as in 2,5, got {text!r}") from None
    if first == second:
        raise ValueError(f"--swap {text} exchanges a keypoint with itself: name two")
    return first, second


def parse_seeds(text: str) -> list[int]:
    """Seeds from a text such as ``0-15`` or ``0,3,8-11``.

    Raises ValueError for another form, or for more than 10,000.
    """
    try:
        spans = [_span(span_text) for span_text in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--seeds takes numbers and spans that go up, as in 0-15 or 0,3,8-11, got {shown(text)!r}"
        ) from None
    if sum(span.stop - span.start for span in spans) > _MAX_SEEDS:
        raise ValueError(f"--seeds {shown(text)} are more than {_MAX_SEEDS:,}: give fewer")
    return [seed for span in spans for seed in span]


def _span(text: str) -> range:
    first, dash, last = text.partition("-")
    seeds = range(int(first), int(last if dash else first) + 1)
    if seeds.stop <= seeds.start or seeds.stop > 2**63:  # what a generator takes
        raise ValueError
    return seeds


def seeded_styles(seeds: Sequence[int], size: int) -> Float[Tensor, "N D"]:
    """One z from N(0, 1) for each seed, independent of the other seeds."""
    draws = [torch.randn(size, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(draws)


def points_between(stops: Float[Tensor, "N ..."], count: int) -> Float[Tensor, "M ..."]:
    """``count`` points interpolated through all stops, both ends included."""
    legs = len(stops) - 1
    places = torch.linspace(0, legs, count) if legs else torch.zeros(count)
    lower = places.floor().clamp(max=max(0, legs - 1)).long()
    share = (places - lower).view(-1, *[1] * (stops.ndim - 1)).to(stops)
    return torch.lerp(stops[lower], stops[(lower + 1).clamp(max=legs)], share)
