"""Fit and test splits of annotated images on disk, and a model's keypoints on them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import ndarray

from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.common.spread import evenly
from autolink_gen.common.text import shown
from autolink_gen.data.held_out import held_out_rows, people_table
from autolink_gen.data.images import read_image
from autolink_gen.data.label_files import read_landmarks
from autolink_gen.data.landmarks import LandmarkTable, find_landmarks_csv, match_images, read_landmarks_csv
from autolink_gen.data.sources.base import Source
from autolink_gen.data.sources.folder import held_out_beside
from autolink_gen.evaluation.landmarks import Annotations
from autolink_gen.inference.detect_batches import detect_with_colours
from autolink_gen.models.autolink import AutoLink


class MissingSplitError(ValueError):
    """Evaluation needs a fit split and a test split, and there is only one."""


@dataclass(frozen=True)
class AnnotatedSplit:
    """Annotated images: `paths` in the order of the `table` that was read from `table_path`."""

    folder: Path
    table_path: Path
    table: LandmarkTable
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, index: int) -> ndarray:
        """One image, uint8 (H, W, 3)."""
        return np.asarray(read_image(self.paths[index]))


def find_folders(source: Source, *, fit_data: Path | None = None) -> tuple[Path, Path]:
    """The folders of the fit split and of the test split.

    Without `fit_data` the fit split is the set's own, or its train split; of a folder called test or val it is the
    folder train beside it, and the other way round. Raises MissingSplitError where that leaves one of the two open.
    """
    test = source.folder("test").absolute()
    if fit_data is not None:
        return fit_data, test
    fit = source.folder("fit").absolute()
    if fit != test:
        return fit, test
    if test.name != "train":
        fit = test.parent / "train"
    else:
        test = held_out_beside(test) or test
    if fit == test or not fit.is_dir():
        raise MissingSplitError(
            f"{test} holds one split and evaluation needs two, with landmarks: call it test and put a folder train "
            f"beside it"
        )
    return fit, test


def read_split(folder: Path, *, landmarks: Path | None = None, limit: int | None = None) -> AnnotatedSplit:
    """The images of a folder with their landmarks, from `landmarks` or else the table that goes with it.

    With a `limit` so many images are taken, evenly spread over the table. Raises ValueError for a table or
    images that are missing, and for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"the number of images is limited to {limit}; give 1 or more")
    table_path = find_landmarks_csv(folder) if landmarks is None else landmarks
    return _split(folder, table_path, read_landmarks(table_path, folder), limit)


def read_held_out(
    source: Source, *, every: int, fit_limit: int | None = None, test_limit: int | None = None
) -> tuple[AnnotatedSplit, AnnotatedSplit]:
    """The training split in two: a test split of every Nth person, and a fit split of the others.

    Raises ValueError where nothing names the people, or fewer than two, and for `every` below 2.
    """
    folder, table_path = people_table(source)
    table = read_landmarks_csv(table_path)
    held_out = held_out_rows(table, every, table_path=table_path)
    fit, test = (
        _take_rows(table, [row for row, is_held_out in enumerate(held_out) if is_held_out == is_test])
        for is_test in (False, True)
    )
    return _split(folder, table_path, fit, fit_limit), _split(folder, table_path, test, test_limit)


def _split(folder: Path, table_path: Path, table: LandmarkTable, limit: int | None) -> AnnotatedSplit:
    if limit is not None and limit < len(table):
        table = _take_rows(table, evenly(len(table), limit, with_last=True))
    return AnnotatedSplit(folder, table_path, table, tuple(match_images(table, folder)))


def check_alike(fit: AnnotatedSplit, test: AnnotatedSplit) -> None:
    """ValueError if the landmarks of two splits differ in number, name or order."""
    counts = [split.table.points.shape[1] for split in (fit, test)]
    if counts[0] != counts[1]:
        raise ValueError(
            f"{fit.table_path} has {counts[0]} landmarks an image and {test.table_path} has {counts[1]}; give the "
            f"same ones in both"
        )
    pairs = zip(fit.table.names, test.table.names, strict=False)
    for number, (fit_name, test_name) in enumerate(pairs):
        if fit_name != test_name:
            raise ValueError(
                f"landmark {number} is {shown(fit_name)} in {fit.table_path} and {shown(test_name)} in "
                f"{test.table_path}; put the columns of both into one order"
            )


def overlap(fit: AnnotatedSplit, test: AnnotatedSplit) -> int:
    """The number of test images that are in the fit split too, by file or by content."""
    fitted = {path.resolve() for path in fit.paths}
    others = [path for path in test.paths if path.resolve() not in fitted]
    sizes = {path.stat().st_size for path in others}
    alike = {_digest(path) for path in fit.paths if path.stat().st_size in sizes}
    sizes = {path.stat().st_size for path in fit.paths}
    copies = sum(path.stat().st_size in sizes and _digest(path) in alike for path in others)
    return len(test) - len(others) + copies


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _take_rows(table: LandmarkTable, rows: Sequence[int]) -> LandmarkTable:
    return LandmarkTable(
        files=tuple(table.files[row] for row in rows),
        people=tuple(table.people[row] for row in rows),
        points=table.points[rows],
        visible=table.visible[rows],
        names=table.names,
    )


def annotate(
    graph: AutoLink,
    split: AnnotatedSplit,
    *,
    batch_size: int = 32,
    label: str = "images",
    progress: Progress = no_progress,
) -> Annotations:
    """Detect keypoints on all images of a split, and join them with its landmarks in [0, 1].

    Mean colours and heatmap widths are kept too. Raises ImageError for an image that cannot be read.
    """
    images: Iterator[ndarray] = (split.image(i) for i in progress(range(len(split)), len(split), label))
    detections = detect_with_colours(graph, images, batch_size=batch_size)
    points, visible = split.table.points, split.table.visible
    return Annotations(detections.keypoints, points, visible, colours=detections.colours, widths=detections.widths)
