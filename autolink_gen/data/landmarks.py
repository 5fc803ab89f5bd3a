"""Annotated landmarks, read from a table beside the pictures; for evaluation only."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from autolink_gen.data.folders import check_folder

_FURTHEST = 2.0  # a landmark may lie outside its picture, but not by more than the picture's size
_FORM = "file,person,x0,y0,x1,y1,... (and perhaps v0,v1,...), or with names, as in left_eye_x,left_eye_y"


@dataclass(frozen=True)
class LandmarkTable:
    """The landmarks of N pictures, P each.

    `points` are (x, y) as fractions of the picture's width and height, from the top left corner, in [0, 1] or
    a little outside; NaN where unlabelled. `visible` is False where unlabelled or marked as hidden. `persons`
    are "" where not given. `names` of the landmarks are empty where the table numbers them.
    """

    files: tuple[str, ...]
    persons: tuple[str, ...]
    points: Float64[np.ndarray, "N P 2"]
    visible: Bool[np.ndarray, "N P"]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.files)


def read_landmarks_csv(path: str | Path) -> LandmarkTable:
    """Read a table with a row for each picture: `file,person,x0,y0,x1,y1,...`, coordinates in [0, 1].

    `person` may be left out. Columns `v0,v1,...` (1 visible, 0 hidden) may follow. A coordinate that is
    empty, NaN or -1 means unlabelled. Landmarks with names have the columns `<name>_x,<name>_y` and perhaps
    `<name>_v`.

    Raises:
        ValueError: the file is missing or has no rows, columns are missing, a value is no number or no
            fraction, or a picture comes twice.
    """
    path = Path(path).expanduser()
    header, rows = _read_rows(path)
    names = _landmark_names(header)
    header = _numbered(header, names)
    num_points, has_visibility = _check_header(path, header)
    column = {name: number for number, name in enumerate(header)}
    axes = [f"{axis}{point}" for point in range(num_points) for axis in "xy"]
    points = _numbers(path, rows, [(name, column[name]) for name in axes]).reshape(len(rows), num_points, 2)
    unlabelled = (np.isnan(points) | (points == -1)).any(axis=2)
    points[unlabelled] = np.nan
    visible = ~unlabelled
    if has_visibility:
        marks = _numbers(path, rows, [(f"v{point}", column[f"v{point}"]) for point in range(num_points)])
        visible &= np.nan_to_num(marks) > 0
    _check_range(path, rows, points)
    persons = tuple(row[column["person"]] for row in rows) if "person" in column else ("",) * len(rows)
    files = tuple(row[column["file"]] for row in rows)
    _check_unique(path, files)
    return LandmarkTable(files=files, persons=persons, points=points, visible=visible, names=names)


def landmark_places(pictures_folder: str | Path) -> tuple[Path, ...]:
    """Where the table of a folder of pictures may lie, first choice first."""
    folder = check_folder(pictures_folder).absolute()
    return (
        folder / "landmarks.csv",
        folder.parent / f"landmarks_{folder.name}.csv",
        folder.parent / "landmarks.csv",
    )


def find_landmarks_csv(pictures_folder: str | Path) -> Path:
    """The table that goes with a folder of pictures.

    For `faces/test` it is the first of `faces/test/landmarks.csv`, `faces/landmarks_test.csv` and
    `faces/landmarks.csv`.

    Raises:
        ValueError: the folder is missing, or there is no table in any of the three places.
    """
    places = landmark_places(pictures_folder)
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    raise ValueError(
        f"no landmarks for {pictures_folder}: looked for {looked}; name the table or put it there ({_FORM})"
    )


def match_pictures(table: LandmarkTable, pictures_folder: str | Path) -> list[Path]:
    """The path of each picture in the table, in its order.

    Raises:
        ValueError: some are not in the folder.
    """
    folder = check_folder(pictures_folder)
    paths = [folder / file for file in table.files]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ValueError(
            f"{len(missing)} of the {len(table)} pictures in the landmark table are not in {folder} "
            f"({names}); give the folder that they lie in, or take their rows out of the table"
        )
    return paths


def _read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    if not path.is_file():
        raise ValueError(f"there is no landmark table {path}; give a CSV file with the columns {_FORM}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            lines = [line for line in csv.reader(handle) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV table ({error}); it needs the columns {_FORM}") from error
    if not lines:
        raise ValueError(f"the landmark table {path} is empty; it needs the columns {_FORM} and a row a picture")
    header = [name.strip() for name in lines[0]]
    rows = lines[1:]
    if not rows:
        raise ValueError(f"the landmark table {path} has a header but no rows; it needs a row a picture")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(f"{path}, row {number}: {len(row)} values for {len(header)} columns; complete the row")
    return header, rows


def _landmark_names(header: list[str]) -> tuple[str, ...]:
    """The names of landmarks whose columns carry them; empty where they are numbered."""
    return tuple(name[:-2] for name in header if name.endswith("_x") and f"{name[:-2]}_y" in header)


def _numbered(header: list[str], names: tuple[str, ...]) -> list[str]:
    """The header with numbers in the place of landmarks' names."""
    numbers = {f"{name}_{axis}": f"{axis}{point}" for point, name in enumerate(names) for axis in "xyv"}
    return [numbers.get(name, name) for name in header]


def _check_header(path: Path, header: list[str]) -> tuple[int, bool]:
    """The number of points, and whether there are visibility columns."""
    num_points = sum(name[:1] == "x" and name[1:].isdigit() for name in header)
    num_marks = sum(name[:1] == "v" and name[1:].isdigit() for name in header)
    wanted = ["file"] + [f"{axis}{point}" for point in range(max(1, num_points)) for axis in "xy"]
    wanted += [f"v{point}" for point in range(num_points)] if num_marks else []
    missing = [name for name in wanted if name not in header]
    if missing:
        raise ValueError(
            f"{path} lacks the column(s) {', '.join(missing[:6])}{', ...' if len(missing) > 6 else ''}; "
            f"it has {', '.join(header[:6])}{', ...' if len(header) > 6 else ''}; the form is {_FORM}"
        )
    return num_points, num_marks > 0


def _numbers(path: Path, rows: list[list[str]], columns: list[tuple[str, int]]) -> np.ndarray:
    values = np.empty((len(rows), len(columns)))
    for number, row in enumerate(rows):
        for place, (name, column) in enumerate(columns):
            text = row[column].strip()
            try:
                values[number, place] = float(text) if text else np.nan
            except ValueError as error:
                raise ValueError(
                    f"{path}, row {number + 2}, column {name}: {text!r} is no number; leave it empty if unlabelled"
                ) from error
    return values


def _check_range(path: Path, rows: list[list[str]], points: np.ndarray) -> None:
    # Written so that NaN passes and infinity does not.
    wild = np.argwhere(np.abs(points) > _FURTHEST)
    if len(wild):
        row, point, axis = wild[0]
        raise ValueError(
            f"{path}, row {row + 2}, column {'xy'[axis]}{point}: {points[row, point, axis]:g} is no fraction "
            f"of the picture's size; coordinates go from 0 to 1: divide pixels by its width and height"
        )


def _check_unique(path: Path, files: tuple[str, ...]) -> None:
    if len(set(files)) < len(files):
        twice = next(file for number, file in enumerate(files) if file in files[:number])
        raise ValueError(f"{path} has more than one row for {twice}; keep one")
