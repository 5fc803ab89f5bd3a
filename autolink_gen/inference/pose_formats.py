"""Poses in the formats that other tools read: a file a video."""

import csv
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from autolink_gen.common.text import to_cell, unicode_text
from autolink_gen.inference.nwb_files import check_nwb, write_nwb
from autolink_gen.inference.pose_tables import SCORER, PoseRecord, PoseTable
from autolink_gen.inference.sleap_files import check_sleap_io, write_slp


class PoseFormat(NamedTuple):
    """A format: the ending of its files, what writes one, and what raises ValueError where a package is missing."""

    ending: str
    write: Callable[[Path, PoseTable], None]
    check: Callable[[], None] = lambda: None
    takes_images: bool = True
    """Whether it holds images too, which have no time."""


def check_formats(names: Sequence[str]) -> None:
    """ValueError for a format that is unknown; MissingExtraError for one whose package is missing."""
    for name in names:
        if name not in FORMATS:
            raise ValueError(f"there is no pose format {name!r}; choose of {', '.join(FORMATS)}")
        FORMATS[name].check()


def write_csv(path: Path, table: PoseTable) -> None:
    """A row a frame with the columns of keypoints.csv, and the likelihood of each point behind it."""
    skeleton = table.skeleton
    names = [f"x{k}_px,y{k}_px,likelihood{k}".split(",") for k in skeleton.kept]
    names += [[f"{name}_x_px", f"{name}_y_px", f"{name}_likelihood"] for name in skeleton.landmark_names]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        head = ["file", "frame", "time_s", "width_px", "height_px", *(name for three in names for name in three)]
        writer.writerow(map(to_cell, head))
        for record in table.records:
            about = [to_cell(record.file.as_posix()), record.frame, _time(record), record.width_px, record.height_px]
            writer.writerow([*about, *_triples(record)])


def write_json(path: Path, table: PoseTable) -> None:
    """The form of keypoints.json, and the ``likelihoods`` of each record."""
    skeleton = table.skeleton
    values = {
        "model": unicode_text(skeleton.model_name),
        "num_keypoints": len(skeleton.edge_weights),
        "dropped": sorted(skeleton.dropped),
        "calibrated": skeleton.calibrated,
        "edges": [{"keypoints": [i, j], "weight": weight} for i, j, weight in skeleton.weighted_edges],
        "pictures": [_json_record(record, table) for record in table.records],
    }
    path.write_text(json.dumps(values, allow_nan=False) + "\n", encoding="utf-8")


def write_dlc(path: Path, table: PoseTable) -> None:
    """DeepLabCut's table of predictions: rows are frames by number, or images by name; x, y, likelihood a point."""
    names = table.skeleton.names
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["scorer", *[SCORER] * (3 * len(names))])
        writer.writerow(["bodyparts", *(to_cell(name) for name in names for _ in range(3))])
        writer.writerow(["coords", *["x", "y", "likelihood"] * len(names)])
        for record in table.records:
            index = record.frame if table.is_video else to_cell(record.file.as_posix())
            writer.writerow([index, *_triples(record)])


def write_coco(path: Path, table: PoseTable) -> None:
    """COCO keypoints: images, one category, and an annotation an image, whose ``score`` is the mean likelihood."""
    skeleton = table.skeleton
    category = {
        "id": 1,
        "name": "object",
        "supercategory": "object",
        "keypoints": [unicode_text(name) for name in skeleton.names],
        "skeleton": [[i + 1, j + 1] for i, j in skeleton.edges],
    }
    numbered = list(enumerate(table.records, start=1))
    values = {
        "info": {"description": f"keypoints by {SCORER}, {unicode_text(skeleton.model_name)}"},
        "images": [_coco_image(number, record, is_video=table.is_video) for number, record in numbered],
        "categories": [category],
        "annotations": [_coco_annotation(number, record) for number, record in numbered],
    }
    path.write_text(json.dumps(values, allow_nan=False) + "\n", encoding="utf-8")


FORMATS: dict[str, PoseFormat] = {
    "csv": PoseFormat(".csv", write_csv),
    "json": PoseFormat(".json", write_json),
    "coco": PoseFormat(".coco.json", write_coco),
    "dlc": PoseFormat(".dlc.csv", write_dlc),
    "sleap": PoseFormat(".slp", write_slp, check_sleap_io),
    "nwb": PoseFormat(".nwb", write_nwb, check_nwb, takes_images=False),
}


def _triples(record: PoseRecord) -> list[float | None]:
    """x, y and likelihood of each point; None where unknown."""
    return [_rounded(value) for value in np.column_stack([record.points_px, record.likelihoods]).reshape(-1)]


def _json_record(record: PoseRecord, table: PoseTable) -> dict[str, Any]:
    skeleton = table.skeleton
    points, likelihoods = _points(record.points_px), [_rounded(value) for value in record.likelihoods]
    by_keypoint = dict(zip(skeleton.kept, zip(points, likelihoods, strict=False), strict=False))
    of_all = [by_keypoint.get(k, (None, None)) for k in range(len(skeleton.edge_weights))]
    values = {
        "file": unicode_text(record.file.as_posix()),
        "frame": record.frame,
        "time_s": _time(record),
        "width_px": record.width_px,
        "height_px": record.height_px,
        "keypoints_px": [point for point, _ in of_all],
        "likelihoods": [likelihood for _, likelihood in of_all],
    }
    if skeleton.landmark_names:
        named, start = [unicode_text(name) for name in skeleton.landmark_names], len(skeleton.kept)
        values["landmarks_px"] = dict(zip(named, points[start:], strict=True))
        values["landmark_likelihoods"] = dict(zip(named, likelihoods[start:], strict=True))
    return values


def _coco_image(number: int, record: PoseRecord, *, is_video: bool) -> dict[str, Any]:
    name = unicode_text(record.file.as_posix())
    image = {"id": number, "file_name": name, "width": record.width_px, "height": record.height_px}
    return {**image, "frame": record.frame, "time_s": _time(record)} if is_video else image


def _coco_annotation(number: int, record: PoseRecord) -> dict[str, Any]:
    is_known = np.isfinite(record.points_px).all(axis=1)
    known = record.points_px[is_known]
    low, high = (known.min(axis=0), known.max(axis=0)) if len(known) else (np.zeros(2), np.zeros(2))
    places = [[0, 0, 0] if point is None else [*point, 2] for point in _points(record.points_px)]
    return {
        "id": number,
        "image_id": number,
        "category_id": 1,
        "keypoints": [value for place in places for value in place],
        "num_keypoints": int(is_known.sum()),
        "likelihoods": [_rounded(value) for value in record.likelihoods],
        "score": _rounded(record.score),
        "bbox": [_rounded(value) for value in (*low, *(high - low))],
        "area": _rounded(float(np.prod(high - low))),
        "iscrowd": 0,
    }


def _time(record: PoseRecord) -> float | None:
    return None if record.time_s is None else round(record.time_s, 6)


def _points(points: Float[ndarray, "P 2"]) -> list[list[float] | None]:
    return [[round(float(x), 3), round(float(y), 3)] if math.isfinite(x + y) else None for x, y in points]


def _rounded(value: float) -> float | None:
    return round(float(value), 3) if math.isfinite(value) else None
