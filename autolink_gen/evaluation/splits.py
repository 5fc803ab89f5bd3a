"""Annotated pictures on disk: where a fit part and a test part lie, and what a model detects on them."""

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
from autolink_gen.data.landmarks import LandmarkTable, find_landmarks_csv, match_pictures, read_landmarks_csv
from autolink_gen.data.sources.base import Source
from autolink_gen.data.sources.folder import held_out_beside
from autolink_gen.evaluation.landmarks import Annotations
from autolink_gen.inference.detect_batches import detect_with_colours
from autolink_gen.models.autolink import AutoLink


class OnePartError(ValueError):
    """Evaluation needs pictures to fit on and others to test on, and there is one part only."""


@dataclass(frozen=True)
class Part:
    """Annotated pictures: `paths` in the order of the `table` that was read from `table_path`."""

    folder: Path
    table_path: Path
    table: LandmarkTable
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, index: int) -> ndarray:
        """One picture, uint8 (H, W, 3)."""
        return np.asarray(read_image(self.paths[index]))


def find_folders(source: Source, *, fit_data: Path | None = None) -> tuple[Path, Path]:
    """The folders of the fit part and of the test part.

    Without `fit_data` the fit part is the set's own, or its train split; of a folder called test or val it is the
    folder train beside it, and the other way round. Raises OnePartError where that leaves one of the two open.
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
        raise OnePartError(
            f"{test} holds one part and evaluation needs two, with landmarks: call it test and put a folder train "
            f"beside it"
        )
    return fit, test


def read_part(folder: Path, *, landmarks: Path | None = None, limit: int | None = None) -> Part:
    """The pictures of a folder with their landmarks, from `landmarks` or else the table that goes with it.

    With a `limit` so many pictures are taken, evenly spread over the table. Raises ValueError for a table or
    pictures that are missing, and for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"the number of pictures is limited to {limit}; give 1 or more")
    table_path = find_landmarks_csv(folder) if landmarks is None else landmarks
    return _part(folder, table_path, read_landmarks_csv(table_path), limit)


def read_held_out(
    source: Source, *, every: int, fit_limit: int | None = None, test_limit: int | None = None
) -> tuple[Part, Part]:
    """The training part in two: the images of most people to fit on, and those of every Nth person to test on.

    Raises ValueError where nothing names the people, or fewer than two, and for `every` below 2.
    """
    folder, table_path = people_table(source)
    table = read_landmarks_csv(table_path)
    held = held_out_rows(table, every, table_path=table_path)
    fit, test = (_rows(table, [row for row, out in enumerate(held) if out == wanted]) for wanted in (False, True))
    return _part(folder, table_path, fit, fit_limit), _part(folder, table_path, test, test_limit)


def _part(folder: Path, table_path: Path, table: LandmarkTable, limit: int | None) -> Part:
    if limit is not None and limit < len(table):
        table = _rows(table, evenly(len(table), limit, with_last=True))
    return Part(folder, table_path, table, tuple(match_pictures(table, folder)))


def check_alike(fit: Part, test: Part) -> None:
    """ValueError where the landmarks of two parts differ in number, in name or in order."""
    counts = [part.table.points.shape[1] for part in (fit, test)]
    if counts[0] != counts[1]:
        raise ValueError(
            f"{fit.table_path} has {counts[0]} landmarks a picture and {test.table_path} has {counts[1]}; give the "
            f"same ones in both"
        )
    pairs = zip(fit.table.names, test.table.names, strict=False)
    for number, (one, other) in enumerate(pairs):
        if one != other:
            raise ValueError(
                f"landmark {number} is {shown(one)} in {fit.table_path} and {shown(other)} in {test.table_path}; put "
                f"the columns of both into one order"
            )


def overlap(fit: Part, test: Part) -> int:
    """How many pictures of the test part are in the fit part as well, as the same file or as one of equal content."""
    fitted = {path.resolve() for path in fit.paths}
    others = [path for path in test.paths if path.resolve() not in fitted]
    sizes = {path.stat().st_size for path in others}
    alike = {_digest(path) for path in fit.paths if path.stat().st_size in sizes}
    sizes = {path.stat().st_size for path in fit.paths}
    copies = sum(path.stat().st_size in sizes and _digest(path) in alike for path in others)
    return len(test) - len(others) + copies


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _rows(table: LandmarkTable, rows: Sequence[int]) -> LandmarkTable:
    return LandmarkTable(
        files=tuple(table.files[row] for row in rows),
        persons=tuple(table.persons[row] for row in rows),
        points=table.points[rows],
        visible=table.visible[rows],
        names=table.names,
    )


def annotate(
    graph: AutoLink,
    part: Part,
    *,
    batch_size: int = 32,
    label: str = "pictures",
    progress: Progress = no_progress,
) -> Annotations:
    """Detect keypoints on all pictures of a part and put them beside the landmarks, in [0, 1], with what else is seen.

    Raises ImageError for a picture that cannot be read.
    """
    pictures: Iterator[ndarray] = (part.picture(i) for i in progress(range(len(part)), len(part), label))
    found = detect_with_colours(graph, pictures, batch_size=batch_size)
    points, visible = part.table.points, part.table.visible
    return Annotations(found.keypoints, points, visible, colours=found.colours, widths=found.widths)
