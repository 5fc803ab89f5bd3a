"""Annotated landmarks, read from a table beside the images; for evaluation only."""

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from autolink_gen.common.files import BadFileError, expand_user, reading
from autolink_gen.common.text import from_cell, shown
from autolink_gen.data.folders import check_folder
from autolink_gen.data.inner_names import inner_name
from autolink_gen.data.tables import open_rows, to_number

_FURTHEST = 2.0  # a landmark may lie outside its image, but not by more than the image's size
_MAX_POINTS, _MAX_VALUES = 10_000, 32_000_000  # an image, a table
_USUALLY_OUTSIDE = 0.1  # so far a few landmarks may lie above or left of an image, and this is more than a few
_FORM = "file,person,x0,y0,x1,y1,... (and perhaps v0,v1,...), or with names, as in left_eye_x,left_eye_y"


@dataclass(frozen=True)
class LandmarkTable:
    """The landmarks of N images, P each.

    `points` are (x, y) as fractions of the image's width and height, from the top left corner, in [0, 1] or
    a little outside; NaN where unlabelled. `visible` is False where unlabelled or marked as hidden. `people`
    are "" where not given. `names` of the landmarks are empty where the table numbers them.
    """

    files: tuple[str, ...]
    people: tuple[str, ...]
    points: Float64[np.ndarray, "N P 2"]
    visible: Bool[np.ndarray, "N P"]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.files)


def read_landmarks_csv(path: str | Path) -> LandmarkTable:
    """Read a table with a row for each image: `file,person,x0,y0,x1,y1,...`, coordinates in [0, 1].

    `person` may be left out. Columns `v0,v1,...` (1 visible, 0 hidden) may follow. A coordinate that is
    empty, NaN or -1 means unlabelled. Landmarks with names have the columns `<name>_x,<name>_y` and perhaps
    `<name>_v`. A file's name that looks like a formula to a spreadsheet may stand behind a '. Tables are read as
    spreadsheets save them: see `tables`.

    Raises:
        ValueError: the file is missing or has no rows, columns are missing or come twice, a value is no number or no
            fraction, an image comes twice, or its name leads out of the images' folder.
    """
    path = expand_user(path)
    table = _read_table(path)
    points = table.values[:, : 2 * table.num_points].reshape(-1, table.num_points, 2).copy()
    unlabelled = (np.isnan(points) | (points == -1)).any(axis=2)
    points[unlabelled] = np.nan
    visible = ~unlabelled
    if table.has_marks:
        visible &= np.nan_to_num(table.values[:, 2 * table.num_points :]) > 0
    _check_range(table, points)
    return LandmarkTable(files=table.files, people=table.people, points=points, visible=visible, names=table.names)


def landmark_places(images_folder: str | Path) -> tuple[Path, ...]:
    """The possible places of a folder's landmark table, first choice first."""
    folder = check_folder(images_folder).absolute()
    return (
        folder / "landmarks.csv",
        folder.parent / f"landmarks_{folder.name}.csv",
        folder.parent / "landmarks.csv",
    )


def find_landmarks_csv(images_folder: str | Path) -> Path:
    """The table that goes with a folder of images.

    For `faces/test` it is the first of `faces/test/landmarks.csv`, `faces/landmarks_test.csv` and
    `faces/landmarks.csv`.

    Raises:
        ValueError: the folder is missing, or there is no table in any of the three places.
    """
    places = landmark_places(images_folder)
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    raise ValueError(f"no landmarks for {images_folder}: looked for {looked}; name the table or put it there ({_FORM})")


def match_images(table: LandmarkTable, images_folder: str | Path) -> list[Path]:
    """The path of each image in the table, in its order.

    Raises:
        ValueError: some are not in the folder.
    """
    folder = check_folder(images_folder)
    paths = [_find_file(folder, file) for file in table.files]
    missing = [shown(str(path)) for path in paths if not path.is_file()]
    if missing:
        names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ValueError(
            f"{len(missing)} of the {len(table)} images in the landmark table are not in {folder} "
            f"({names}); give the folder that they lie in, or take their rows out of the table"
        )
    return paths


def _find_file(folder: Path, file: str) -> Path:
    """The file of that name; without the blanks around it, where there is none with them."""
    path, plain = folder / file, folder / file.strip()
    return plain if plain.is_file() and not path.is_file() else path


def _read_table(path: Path) -> "_Columns":
    if not path.is_file():
        raise ValueError(f"there is no landmark table {path}; give a CSV file with the columns {_FORM}")
    with reading(path, "CSV table", remedy=f"it needs the columns {_FORM}"), open_rows(path) as rows:
        if (first := next(rows, None)) is None:
            raise BadFileError(f"the landmark table {path} is empty; it needs the columns {_FORM} and a row an image")
        return _Columns(path, _strip_row(first[1]), rows)


def _strip_row(row: list[str]) -> list[str]:
    """The cells up to the last that holds anything: spreadsheets add empty ones."""
    cells = [cell.strip() for cell in row]
    while not cells[-1]:
        cells.pop()
    return cells


class _Columns:
    """The columns of a table, as numbers as soon as a row is read: as text they would take ten times the memory."""

    def __init__(self, path: Path, header: list[str], rows: Iterator[tuple[int, list[str]]]) -> None:
        self.path = path
        self.names = _landmark_names(header)
        header = _number_landmarks(header, self.names)
        self.num_points, self.has_marks = _check_header(path, header)
        column = {name: number for number, name in enumerate(header)}
        names = [f"{axis}{point}" for point in range(self.num_points) for axis in "xy"]
        names += [f"v{point}" for point in range(self.num_points)] if self.has_marks else []
        places = [(name, column[name]) for name in names]
        values, files, people = array("d"), [], []
        self.rows = array("q")  # their numbers in a spreadsheet
        for number, row in rows:
            where = f"{path}, row {number}"
            _check_length(row, header, where)
            values.extend(_number(row[place], where, name) for name, place in places)
            if len(values) > _MAX_VALUES:
                raise BadFileError(f"{path} has more than {_MAX_VALUES:,} numbers; make several tables of it")
            self.rows.append(number)
            files.append(inner_name(from_cell(row[column["file"]]), where))
            people.append(row[column["person"]] if "person" in column else "")
        if not files:
            raise BadFileError(f"the landmark table {path} has a header but no rows; it needs a row an image")
        _check_unique(path, files)
        self.files, self.people = tuple(files), tuple(people)
        self.values = np.frombuffer(values).reshape(len(files), len(names))


def _check_length(row: list[str], header: list[str], where: str) -> None:
    """BadFileError unless there is a value for each column, and nothing but empty cells after them."""
    if len(row) < len(header):
        raise BadFileError(f"{where}: {len(row)} values for {len(header)} columns; complete the row")
    if any(cell.strip() for cell in row[len(header) :]):
        raise BadFileError(
            f"{where}: {len(row)} values for {len(header)} columns; name the others in the first row, and separate "
            f"columns by ; where numbers have decimal commas"
        )


def _landmark_names(header: list[str]) -> tuple[str, ...]:
    """The names of landmarks whose columns carry them; empty where they are numbered."""
    columns = set(header)
    return tuple(name[:-2] for name in header if name.endswith("_x") and f"{name[:-2]}_y" in columns)


def _number_landmarks(header: list[str], names: tuple[str, ...]) -> list[str]:
    """The header with numbers in the place of landmarks' names."""
    numbers = {f"{name}_{axis}": f"{axis}{point}" for point, name in enumerate(names) for axis in "xyv"}
    return [numbers.get(name, name) for name in header]


def _check_header(path: Path, header: list[str]) -> tuple[int, bool]:
    """The number of points, and whether there are visibility columns."""
    columns = set(header)
    if twice := next((name for name, count in Counter(header).items() if name and count > 1), None):
        raise BadFileError(f"{path} has more than one column {shown(twice)}; keep one")
    num_points = sum(name[:1] == "x" and name[1:].isdigit() for name in header)
    num_marks = sum(name[:1] == "v" and name[1:].isdigit() for name in header)
    if num_points > _MAX_POINTS:
        raise BadFileError(f"{path} has {num_points} landmarks an image; up to {_MAX_POINTS} are read")
    required = ["file"] + [f"{axis}{point}" for point in range(max(1, num_points)) for axis in "xy"]
    required += [f"v{point}" for point in range(num_points)] if num_marks else []
    missing = [name for name in required if name not in columns]
    if missing:
        raise BadFileError(
            f"{path} lacks the column(s) {', '.join(missing[:6])}{', ...' if len(missing) > 6 else ''}; "
            f"it has {shown(', '.join(header[:6]))}{', ...' if len(header) > 6 else ''}; the form is {_FORM}"
        )
    return num_points, num_marks > 0


def _number(cell: str, where: str, name: str) -> float:
    """A cell as a number, NaN where it is empty."""
    try:
        return to_number(cell)
    except ValueError as error:
        raise BadFileError(
            f"{where}, column {name}: '{shown(cell.strip())}' is no number; leave it empty if unlabelled"
        ) from error


def _check_range(table: _Columns, points: np.ndarray) -> None:
    # Written so that NaN passes and infinity does not.
    wild = np.argwhere(np.abs(points) > _FURTHEST)
    if len(wild):
        row, point, axis = wild[0]
        raise BadFileError(
            f"{table.path}, row {table.rows[row]}, column {'xy'[axis]}{point}: {points[row, point, axis]:g} is no "
            f"fraction of the image's size; coordinates go from 0 to 1: divide pixels by its width and height"
        )
    labelled = points[~np.isnan(points)]
    if labelled.size and (labelled < -_USUALLY_OUTSIDE).mean() > _USUALLY_OUTSIDE:
        raise BadFileError(
            f"{table.path} has coordinates in [-1, 1] by their looks ({labelled.min():g} to {labelled.max():g}); they "
            f"go from 0, the left or upper border, to 1: make of each (value + 1) / 2"
        )


def _check_unique(path: Path, files: list[str]) -> None:
    name, count = Counter(files).most_common(1)[0]
    if count > 1:
        raise BadFileError(f"{path} has more than one row for {shown(name)}; keep one")
