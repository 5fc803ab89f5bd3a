"""Readers of published sets' annotations: one for each form of lists, splits and landmarks.

A reader takes the set's folder and gives its splits: ``train`` to learn from, ``fit`` to fit the map to landmarks on
where that is another split, ``test``. Nothing is decoded here; :mod:`autolink_gen.data.published.prepare` does that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from autolink_gen.common.files import BadFileError, reading
from autolink_gen.common.progress import Progress
from autolink_gen.common.text import shown
from autolink_gen.data.images import read_header
from autolink_gen.data.inner_names import inner_name
from autolink_gen.data.published.list_files import (
    floats,
    names_in,
    numbers_by_name,
    read_csv,
    read_json,
    row_of,
    rows_by_number,
    rows_of,
    whole_number,
)
from autolink_gen.data.published.mat_files import read_mat
from autolink_gen.data.published.pandas_pickle import read_frame

_IN_FOLDERS = ("", "Anno", "Img", "Eval")  # CelebA's own folders; torchvision lays the files flat
_MIN_FACE_SHARE = 0.3
_H36M_TRAIN, _H36M_TEST = (1, 5, 6, 7, 8, 9), (11,)
_H36M_ACTIVITIES = ("Directions", "Discussion", "Posing", "Waiting", "Greeting", "Walking")
_CUB_CLASSES = (1, 2, 3)
_MOST_FLOWERS = 99_999

Box = tuple[float, float, float, float]
Splits = dict[str, list["AnnotatedImage"]]


@dataclass(frozen=True)
class AnnotatedImage:
    """One annotated image of a published set.

    `name` is what to call it, without ending; `source` its file, or what gives its pixels (H, W, 3). `box` (left, top,
    right, bottom) in pixels is what to take of it, `mask` a file whose zeros become black. `points` (P, 2) are its
    landmarks (x, y), NaN where unlabelled, in pixels of the whole image, or where `length` is given in fractions of
    that length, to which the whole image's width and height are scaled.
    """

    name: str
    source: Path | Callable[[], UInt8[ndarray, "H W 3"]]
    points: Float[ndarray, "P 2"] | None = None
    length: float | None = None
    box: Box | None = None
    mask: Path | None = None


def find_file(home: Path, name: str) -> Path:
    """The path of a set's file or folder, also inside CelebA's own folders; the expected path where it is missing."""
    return next((path for folder in _IN_FOLDERS if (path := home / folder / name).exists()), home / name)


# ---- CelebA ----


def read_celeba(home: Path, progress: Progress, *, images: str, landmarks: str, boxes: str | None = None) -> Splits:
    """CelebA, aligned or in the wild: training images without MAFL's, which are the splits fit and test.

    Training images are those of MAFL/celebA_training.txt, or the train partition, or all. With `boxes` only images
    whose face takes at least 30 % of the area are kept.
    """
    points = numbers_by_name(find_file(home, landmarks), columns=10)
    mafl = {
        split: names_in(home / "MAFL" / f"{file}.txt") for split, file in (("fit", "training"), ("test", "testing"))
    }
    mafl_names = {name for names in mafl.values() for name in names}
    names = {"train": [name for name in _celeba_training(home, points) if name not in mafl_names], **mafl}
    folder = find_file(home, images)
    large = None if boxes is None else _with_large_faces(home, folder, find_file(home, boxes), names, progress)
    splits: Splits = {}
    for split, split_names in names.items():
        kept_names = [name for name in split_names if large is None or name in large]
        if missing := [name for name in kept_names if name not in points]:
            raise ValueError(
                f"{find_file(home, landmarks)} has no row for {shown(missing[0])}, which is in the split {split}"
            )
        splits[split] = [
            AnnotatedImage(Path(name).stem, folder / name, np.reshape(points[name], (5, 2)).astype(float))
            for name in kept_names
        ]
    return splits


def _celeba_training(home: Path, points: Mapping[str, Sequence[float]]) -> list[str]:
    theirs, partition = home / "MAFL" / "celebA_training.txt", find_file(home, "list_eval_partition.txt")
    if theirs.is_file():
        return names_in(theirs)
    if partition.is_file():
        return [name for name, (number,) in numbers_by_name(partition, columns=1).items() if number == 0]
    return list(points)


def _with_large_faces(
    home: Path, folder: Path, boxes: Path, names: Mapping[str, Sequence[str]], progress: Progress
) -> set[str]:
    """The images whose face covers at least 30 % of the area (AutoLink sec. 4.1)."""
    faces = numbers_by_name(boxes, columns=4)
    file = home / "list_imsize_celeba.txt"  # made by the authors; headers say the same, more slowly
    sizes = numbers_by_name(file, columns=2) if file.is_file() else {}
    all_names = [name for split in names.values() for name in split]
    large = set()
    for name in progress(all_names, len(all_names), "sizes"):
        if name not in faces:
            raise ValueError(f"{boxes} has no row for {shown(name)}; give the file that belongs to these images")
        if name in sizes:
            area = sizes[name][0] * sizes[name][1]
        else:
            header = read_header(folder / name)
            area = header.width * header.height
        if faces[name][2] * faces[name][3] >= _MIN_FACE_SHARE * area:
            large.add(name)
    return large


# ---- people ----


def read_human36m(home: Path, progress: Progress, *, masked: bool) -> Splits:
    """Human3.6M in the tree of the authors' code: subjects 1, 5, 6, 7, 8, 9 to train, 11 to test, six activities.

    With `masked` the background is black. Landmarks, 32 in [0, 1], are stored as (row, column) like all of that code's.
    """
    splits: Splits = {}
    for split, subjects in (("train", _H36M_TRAIN), ("test", _H36M_TEST)):
        folders = [
            folder
            for subject in subjects
            for folder in sorted((home / f"S{subject}" / "WithBackground").iterdir())
            if folder.name.startswith(_H36M_ACTIVITIES)
        ]
        with_progress = progress(folders, len(folders), split)
        splits[split] = [
            _human36m(frame, masked=masked) for folder in with_progress for frame in sorted(folder.glob("*.jpg"))
        ]
    return splits


def _human36m(frame: Path, *, masked: bool) -> AnnotatedImage:
    folder, subject = frame.parent.name, frame.parents[2]
    table = subject / "Landmarks" / folder / f"{frame.stem}.mat"
    points = _points(read_mat(table, "keypoints_2d"), str(table))
    # BackgroudMask: so it is spelled in the tree.
    mask = subject / "BackgroudMask" / folder / f"{frame.stem}.png" if masked else None
    name = f"{subject.name}/{folder}/{frame.stem}"
    return AnnotatedImage(name, frame, points[:, ::-1], length=1.0, mask=mask)


def read_deepfashion(home: Path, progress: Progress) -> Splits:
    """DeepFashion: names of files in the second column of data_*.csv, landmarks, in 255ths, in data_*.json."""
    return {split: _deepfashion(home, split) for split in ("train", "test")}


def _deepfashion(home: Path, split: str) -> list[AnnotatedImage]:
    table, landmarks = home / f"data_{split}.csv", home / f"data_{split}.json"
    names = [
        inner_name(row[1].strip(), row_of(table, number))
        for number, row in enumerate(read_csv(table)[1:], start=2)
        if len(row) > 1
    ]
    rows = read_json(landmarks)
    if not isinstance(rows, list):
        raise BadFileError(f"{landmarks} must be a list of objects with keypoints [[x, y], ...]")
    points = [_points(_keypoints(row), row_of(landmarks, number)) for number, row in enumerate(rows, start=1)]
    if len(names) != len(points):
        raise ValueError(f"{table} names {len(names)} images and {landmarks} has {len(points)} rows; they must agree")
    return [
        AnnotatedImage(_without_ending(name), home / "img" / name, landmarks_of_image, length=255.0)
        for name, landmarks_of_image in zip(names, points, strict=True)
    ]


def _keypoints(row: Any) -> Any:
    return row.get("keypoints") if isinstance(row, dict) else None


def _points(value: Any, where: str) -> Float[ndarray, "P 2"]:
    """Landmarks from a file's value, each finite or NaN; BadFileError for anything else."""
    with reading(where, "row of landmarks", remedy="it must be a list of objects with keypoints [[x, y], ...]"):
        points = np.array(value, dtype=float)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"numbers of the shape {points.shape}")
        if np.isinf(points).any():
            raise ValueError("a number is too large")
        return points


def _without_ending(name: str) -> str:
    return Path(name).with_suffix("").as_posix()


def read_taichi(home: Path, progress: Progress) -> Splits:
    """Tai-Chi's evaluation frames, 5000 to fit on and 300 to test on, with 18 landmarks in 255ths, -1 unlabelled."""
    splits: Splits = {}
    for split, name in (("fit", "train"), ("test", "test")):
        table = home / "landmark" / f"taichi_{name}_gt.pkl"
        frame = read_frame(table, ("file_name", "value"))
        folder = home / "eval_images" / "taichi-256" / name
        if len(frame["file_name"]) != len(frame["value"]):
            raise BadFileError(f"{table}: its columns have different lengths; fetch it again")
        splits[split] = []
        for number, (name_read, value) in enumerate(zip(frame["file_name"], frame["value"], strict=True), start=1):
            where = row_of(table, number)
            file, points = inner_name(name_read, where), _mark_unlabelled(value, where)
            splits[split].append(AnnotatedImage(_without_ending(file), folder / file, points, length=255.0))
    return splits


def _mark_unlabelled(value: Any, where: str) -> Float[ndarray, "P 2"]:
    with reading(where, "row of landmarks", remedy="fetch it again"):
        points = _points(np.array(value, dtype=float).reshape(-1, 2), where)
    points[(points == -1).any(axis=1)] = np.nan
    return points


# ---- birds and flowers ----


def read_cub(home: Path, progress: Progress, *, test_class: int | None) -> Splits:
    """CUB-200-2011 by its own split, each bird cut out by the square around its box.

    With `test_class` the first three classes are learned from, as SCOPS has it, and that one of them is the test split.
    Differs: the authors first trim images to multiples of 16 pixels, which moves a box by up to 7.
    """
    files = {
        number: inner_name(name, f"{home / 'images.txt'}, image {number}")
        for number, (name,) in rows_by_number(home / "images.txt", columns=1).items()
    }
    lists = ("image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt")
    classes, train_flags = (rows_by_number(home / name, columns=1) for name in lists[:2])
    boxes = rows_by_number(home / lists[2], columns=4)
    points = _cub_points(home / "parts" / "part_locs.txt")
    tables = [table.keys() for table in (classes, train_flags, boxes, points)]
    splits: Splits = {"train": [], "test": []}
    for index, file in files.items():
        for name, keys in zip((*lists, "parts/part_locs.txt"), tables, strict=True):
            if index not in keys:
                raise ValueError(
                    f"{home / name} has no row for image {index}, {shown(file)}; it is cut: unpack it again"
                )
        split = "train" if train_flags[index] == ["1"] else "test"
        classes_of_split = _CUB_CLASSES if split == "train" else (test_class,)
        if test_class is None or whole_number(classes[index][0], home / lists[0]) in classes_of_split:
            box = _square(floats(boxes[index], home / lists[-1]))
            landmarks = np.array(points[index], dtype=float)
            splits[split].append(AnnotatedImage(_without_ending(file), home / "images" / file, landmarks, box=box))
    return splits


def _cub_points(file: Path) -> dict[int, list[tuple[float, float]]]:
    points: dict[int, list[tuple[float, float]]] = {}
    for number, _, x, y, is_visible in rows_of(file, columns=5):
        place = floats((x, y), file)
        points.setdefault(int(number), []).append((place[0], place[1]) if is_visible == "1" else (np.nan, np.nan))
    return points


def _square(box: Sequence[float]) -> Box:
    """The square around a box given by left, top, width, height; it may leave the image."""
    left, top, width, height = box
    half = max(width, height) / 2
    middle_x, middle_y = left + width / 2, top + height / 2
    return middle_x - half, middle_y - half, middle_x + half, middle_y + half


def read_flowers(home: Path, progress: Progress) -> Splits:
    """Oxford Flowers 102 as the authors use it: the large test split to learn from, the train split to test on."""
    return {
        split: [AnnotatedImage(f"image_{number:05d}", home / "jpg" / f"image_{number:05d}.jpg") for number in
               _flower_numbers(home / "setid.mat", name)]
        for split, name in (("train", "tstid"), ("test", "trnid"))
    }  # fmt: skip


def _flower_numbers(file: Path, name: str) -> list[int]:
    numbers = read_mat(file, name).ravel()
    if ((numbers < 0) | (numbers > _MOST_FLOWERS) | (numbers != np.floor(numbers))).any():
        raise BadFileError(f"{file}: {name} should hold numbers of images; fetch it again")
    return [int(number) for number in numbers]
