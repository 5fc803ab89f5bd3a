"""Landmarks as other tools save them: COCO keypoints, DeepLabCut's CSV, SLEAP's .slp, Label Studio's JSON."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from autolink_gen.common.extras import needs
from autolink_gen.common.files import BadFileError, expand_user, reading
from autolink_gen.common.text import shown
from autolink_gen.data.folders import check_folder
from autolink_gen.data.images import read_image
from autolink_gen.data.inner_names import inner_name
from autolink_gen.data.landmarks import LandmarkTable, read_landmarks_csv
from autolink_gen.data.tables import open_rows, to_number

_MOST_BYTES = 2**28  # of a JSON file
_REMEDY = "give COCO keypoints or an export of Label Studio (.json), labels of DeepLabCut (.csv), or a .slp file"
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an uploaded file


@dataclass(frozen=True)
class _Labelled:
    """One labelled image: its name, and its points (x, y, v) by name; NaN for x and y where unlabelled.

    Points are fractions of the image's size, or ``in_pixels``, (0, 0) being the centre of the first pixel; ``size`` is
    the image's width and height where the file says them.
    """

    name: str
    points: dict[str, tuple[float, float, bool]]
    in_pixels: bool = True
    size: tuple[int, int] | None = None


def read_landmarks(path: str | Path, images_folder: str | Path) -> LandmarkTable:
    """Read a table of landmarks, or a file of labels that another tool saved, of images in a folder.

    Images are found by their names, or by the last parts of these that there are in the folder. A file that labels an
    image twice, several animals say, is refused. Raises ValueError for files that cannot be read, and MissingExtraError
    for a .slp without sleap-io.
    """
    path, folder = expand_user(path), check_folder(images_folder)
    ending = path.suffix.lower()
    if path.is_file() and ending in (".json", ".slp"):
        names, labelled = _read_json(path) if ending == ".json" else _read_slp(path)
    elif path.is_file() and ending == ".csv" and _is_dlc(path):
        names, labelled = _read_dlc(path)
    else:
        return read_landmarks_csv(path)
    return _table(path, folder, names, labelled)


def _table(path: Path, folder: Path, names: Sequence[str], labelled: Sequence[_Labelled]) -> LandmarkTable:
    if not labelled or not names:
        raise BadFileError(f"{path} labels no point of an image; {_REMEDY}")
    files: dict[str, None] = {}
    points = np.full((len(labelled), len(names), 2), np.nan)
    visible = np.zeros(points.shape[:2], dtype=bool)
    for row, item in enumerate(labelled):
        file = inner_name(_inside(folder, item.name), str(path))
        if file in files:
            raise BadFileError(f"{path} labels {shown(file)} twice, several objects say; keep one of them")
        files[file] = None
        for column, name in enumerate(names):
            points[row, column, 0], points[row, column, 1], visible[row, column] = item.points.get(
                name, (np.nan, np.nan, False)
            )
        if item.in_pixels:
            points[row] = (points[row] + 0.5) / (item.size or _size(folder / file))
    visible &= ~np.isnan(points).any(axis=2)
    return LandmarkTable(tuple(files), ("",) * len(files), points, visible, tuple(names))


def _inside(folder: Path, name: str) -> str:
    """The name of an image below the folder: as many of the last parts of its name as there are there."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    candidates = ["/".join(parts[start:]) for start in range(len(parts))]
    if parts:
        candidates.append(_UPLOADED.sub("", parts[-1]))
    return next((each for each in candidates if (folder / each).is_file()), candidates[-1] if parts else name)


def _size(file: Path) -> Float[ndarray, "2"]:
    """Width and height of an image, upright; of one that is missing, which is said later, any."""
    return np.array(read_image(file).size if file.is_file() else (1, 1), dtype=np.float64)


# ---- DeepLabCut ----


def _is_dlc(path: Path) -> bool:
    with reading(path, "CSV table", remedy=_REMEDY), open_rows(path) as rows:
        first = next(rows, None)
    return first is not None and first[1][0].strip() == "scorer"


def _read_dlc(path: Path) -> tuple[list[str], list[_Labelled]]:
    """CollectedData_*.csv, or a table of predictions; images are named in one column or in three."""
    with reading(path, "table of DeepLabCut's", remedy=_REMEDY), open_rows(path) as rows:
        heads = {row[0].strip(): row for _, row in (next(rows) for _ in range(2))}
        if "individuals" in heads:
            raise BadFileError(f"{path} labels several animals an image; give a table of one")
        third = next(rows)[1]
        bodyparts, coords = [cell.strip() for cell in heads["bodyparts"]], [cell.strip() for cell in third]
        places = [column for column, coord in enumerate(coords) if coord == "x"]
        labelled = []
        for _, row in rows:
            name = "/".join(cell.strip() for cell in row[: places[0]] if cell.strip())
            points = {bodyparts[x]: (to_number(row[x]), to_number(row[x + 1]), True) for x in places}
            labelled.append(_Labelled(name, points))
        return [bodyparts[x] for x in places], labelled


# ---- JSON: COCO, Label Studio ----


def _read_json(path: Path) -> tuple[list[str], list[_Labelled]]:
    with reading(path, "file of labels", remedy=_REMEDY):
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "annotations" in content:
            return _coco(content)
        if isinstance(content, list):
            return _label_studio(content)
        raise ValueError("it is JSON of another kind")


def _coco(content: dict[str, Any]) -> tuple[list[str], list[_Labelled]]:
    (names,) = {tuple(map(str, category["keypoints"])) for category in content["categories"] if "keypoints" in category}
    images = {image["id"]: image for image in content["images"]}
    labelled = []
    for annotation in content["annotations"]:
        if not any(annotation.get("keypoints", ())[2::3]):
            continue
        image = images[annotation["image_id"]]
        triples = np.array(annotation["keypoints"], dtype=np.float64).reshape(len(names), 3)
        points = {
            name: (float(x), float(y), bool(v == 2)) if v else (np.nan, np.nan, False)
            for name, (x, y, v) in zip(names, triples, strict=True)
        }
        size = (int(image["width"]), int(image["height"]))
        labelled.append(_Labelled(str(image["file_name"]), points, size=size))
    return list(names), labelled


def _label_studio(tasks: list[Any]) -> tuple[list[str], list[_Labelled]]:
    """Tasks with keypoint labels, in percent of the image; names in the order of the alphabet."""
    labelled = []
    for task in tasks:
        points: dict[str, tuple[float, float, bool]] = {}
        for value in _label_studio_points(task):
            (name,) = map(str, value["keypointlabels"])
            if name in points:
                raise ValueError(f"a task has two points {shown(name)}")
            points[name] = (float(value["x"]) / 100, float(value["y"]) / 100, True)
        if points:
            labelled.append(_Labelled(_label_studio_image(task), points, in_pixels=False))
    return sorted({name for item in labelled for name in item.points}), labelled


def _label_studio_points(task: Any) -> Iterator[dict[str, Any]]:
    """The points of a task's first annotation that was not cancelled."""
    done = [annotation for annotation in task["annotations"] if not annotation.get("was_cancelled")]
    for result in done[0]["result"] if done else ():
        if result.get("type") == "keypointlabels":
            yield result["value"]


def _label_studio_image(task: Any) -> str:
    """The name of a task's image: a path, an address, or what follows ?d= in that of a local file."""
    texts = [value for key, value in task["data"].items() if isinstance(value, str) and key in ("image", "img")]
    texts += [value for value in task["data"].values() if isinstance(value, str)]
    return unquote(texts[0].split("?d=")[-1].split("?")[0])


# ---- SLEAP ----


def _read_slp(path: Path) -> tuple[list[str], list[_Labelled]]:
    with needs("pose", "reading .slp files"):
        import sleap_io
    with reading(path, ".slp file", remedy=_REMEDY):
        labels = sleap_io.load_slp(str(path), open_videos=False)
        names, labelled = [node.name for node in labels.skeleton.nodes], []
        for frame in labels:
            if not isinstance(frame.video.filename, list):
                raise BadFileError(
                    f"{path} labels frames of the video {shown(str(frame.video.filename))}: write these as images, and "
                    f"label the images"
                )
            instances = frame.user_instances or frame.predicted_instances
            for instance in instances:
                points = {
                    name: (float(x), float(y), True) for name, (x, y) in zip(names, instance.numpy(), strict=True)
                }
                labelled.append(_Labelled(str(frame.video.filename[frame.frame_idx]), points))
        return names, labelled
