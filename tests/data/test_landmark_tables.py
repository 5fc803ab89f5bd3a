"""Landmark tables: what is read, what counts as unlabelled, and what is wrong with a wrong table."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from helpers.messages import raises_mentioning

from autolink_gen.common.files import BadFileError
from autolink_gen.common.text import to_cell
from autolink_gen.data.landmarks import LandmarkTable, find_landmarks_csv, match_images, read_landmarks_csv

GOOD = "file,person,x0,y0,x1,y1\na.jpg,Ann,0.1,0.2,0.3,0.4\nb.jpg,Bob,0.5,0.6,1.0,0.0\n"


def _table(folder: Path, content: str) -> Path:
    path = folder / "landmarks.csv"
    path.write_text(content)
    return path


def test_a_table_is_read_as_it_stands(tmp_path: Path) -> None:
    table = read_landmarks_csv(str(_table(tmp_path, GOOD)))

    assert len(table) == 2
    assert table.files == ("a.jpg", "b.jpg") and table.people == ("Ann", "Bob")
    assert table.points.tolist() == [[[0.1, 0.2], [0.3, 0.4]], [[0.5, 0.6], [1.0, 0.0]]]
    assert table.visible.all() and table.visible.shape == (2, 2)


def test_columns_may_stand_in_any_order_and_person_may_lack(tmp_path: Path) -> None:
    table = read_landmarks_csv(_table(tmp_path, "\ufeffy1, x1 ,y0,x0,file\n0.4,0.3,0.2,0.1,a.jpg\n\n"))

    assert table.people == ("",)
    assert table.points.tolist() == [[[0.1, 0.2], [0.3, 0.4]]]


@pytest.mark.parametrize("missing", ["nan", "NaN", "-1", "-1.0", ""])
def test_unlabelled_points_are_invisible_and_have_no_place(tmp_path: Path, missing: str) -> None:
    table = read_landmarks_csv(_table(tmp_path, f"file,person,x0,y0,x1,y1\na.jpg,Ann,{missing},0.2,-0.05,1.02\n"))

    assert table.visible.tolist() == [[False, True]]
    assert np.isnan(table.points[0, 0]).all()
    assert table.points[0, 1].tolist() == [-0.05, 1.02]


def test_visibility_columns_hide_points_that_have_a_place(tmp_path: Path) -> None:
    table = read_landmarks_csv(
        _table(tmp_path, "file,person,x0,y0,x1,y1,x2,y2,v0,v1,v2\na.jpg,Ann,0.1,0.2,0.3,0.4,-1,-1,1,0,1\n")
    )

    assert table.visible.tolist() == [[True, False, False]]
    assert table.points[0, 1].tolist() == [0.3, 0.4]


@pytest.mark.parametrize(
    ("content", "things"),
    [
        ("", ("empty", "file,person,x0,y0")),
        ("file,person,x0,y0\n", ("header", "rows")),
        (
            "name,x0,y0\na.jpg,0,0\n",
            ("column(s) file", "name, x0, y0", "file,person*"),
        ),
        ("file,person\na.jpg,Ann\n", ("column(s) x0, y0",)),
        ("file,x0,y0,x1\na.jpg,0,0,0\n", ("column(s) y1",)),
        ("file,x0,y0,x2,y2\na.jpg,0,0,0,0\n", ("column(s) x1, y1",)),
        ("file,x0,y0,x1,y1,v0\na.jpg,0,0,0,0,1\n", ("column(s) v1",)),
        ("file,x0,y0\na.jpg,0\n", ("row 2", "2 values", "3 columns")),
        ("file,x0,y0\na.jpg,0,0\nb.jpg,0,left\n", ("row 3", "column y0", "left", "number")),
        (
            "file,x0,y0\na.jpg,0.5,97\n",
            ("row 2", "column y0", 97, "fraction", "divide"),
        ),
        ("file,x0,y0\na.jpg,inf,0\n", ("column x0", "inf", "fraction")),
        ("file,x0,y0\na.jpg,0,0\nb.jpg,0,0\na.jpg,0,0\n", ("one row", "a.jpg")),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, content: str, things: tuple) -> None:
    path = _table(tmp_path, content)

    with raises_mentioning(ValueError, path, *things):
        read_landmarks_csv(path)


EXPECTED = [[[0.1, 0.2], [0.3, 0.4]], [[0.5, 0.6], [1.0, 0.0]]]
_HEADER, _ROWS = "file,person,x0,y0,x1,y1", ("a.jpg,Ann,0.1,0.2,0.3,0.4", "b.jpg,Bob,0.5,0.6,1,0")
_SEMICOLONS = "file;person;x0;y0;x1;y1\r\na.jpg;Ann;0,1;0,2;0,3;0,4\r\nb.jpg;Bob;0,5;0,6;1;0\r\n"
SAVED = {
    "semicolons and decimal commas": _SEMICOLONS,
    "a line for the spreadsheet": f"sep=;\r\n{_SEMICOLONS}",
    "tabs": "\n".join((_HEADER, *_ROWS)).replace(",", "\t"),
    "empty rows and columns": "\n".join((",,", "", f"{_HEADER},,", ",,,,,,,", f"{_ROWS[0]},,", _ROWS[1], ",,,,,,,")),
    "quoted numbers": f'{_HEADER}\n"a.jpg","Ann","0,1"," 0.2 ","0.3",".4"\nb.jpg,Bob,"0.5","6e-1",1,0\n',
    "blanks": "\n".join((_HEADER, *_ROWS)).replace(",", " , ").replace("a.jpg", " a.jpg"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("content", SAVED.values(), ids=SAVED)
def test_tables_are_read_as_spreadsheets_save_them(tmp_path: Path, content: str, encoding: str) -> None:
    (tmp_path / "landmarks.csv").write_bytes(content.encode(encoding))
    table = read_landmarks_csv(tmp_path / "landmarks.csv")

    assert table.points.tolist() == EXPECTED and table.visible.all()
    for name in "ab":
        (tmp_path / f"{name}.jpg").touch()
    assert match_images(table, tmp_path) == [tmp_path / "a.jpg", tmp_path / "b.jpg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,x0,y0\n\n,,\na.jpg,0,0\n\nb.jpg,0,left\n", "row 6, column y0: 'left' is no number"),
        ("file,x0,y0\n,,\na.jpg,0,0\n,,\nb.jpg,0,97\n", "row 5, column y0: 97 is no fraction"),
        ("file,x0,y0\na.jpg,0,5,0,5\n", "row 2: 5 values for 3 columns; .* separate columns by ;"),
        ("file,x0,y0,x0\na.jpg,0,0,0\n", "more than one column x0; keep one"),
        (
            "file,x0,y0,x1,y1\na.jpg,-0.4,0.2,0.7,-0.9\n",
            r"in \[-1, 1\] by their looks \(-0.9 to 0.7\); .*\(value \+ 1\) / 2",
        ),
    ],
)
def test_what_is_wrong_is_named_by_the_row_of_the_spreadsheet(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(BadFileError, match=message):
        read_landmarks_csv(_table(tmp_path, content))


def test_some_landmarks_may_lie_outside_the_picture(tmp_path: Path) -> None:
    rows = "".join(f"{row}.jpg,0.5,0.2,0.4,{-0.3 if row < 3 else 0.3}\n" for row in range(10))
    table = read_landmarks_csv(_table(tmp_path, f"file,x0,y0,x1,y1\n{rows}"))
    assert table.points.min() == -0.3


def test_text_in_another_encoding_says_how_to_save_it(tmp_path: Path) -> None:
    (tmp_path / "landmarks.csv").write_bytes("file,x0,y0\nMüller.jpg,0,0\n".encode("cp1252"))
    with pytest.raises(BadFileError, match="neither UTF-8 nor UTF-16: save it as CSV UTF-8"):
        read_landmarks_csv(tmp_path / "landmarks.csv")


def test_a_missing_or_binary_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no landmark table .*none\.csv; give a CSV file"):
        read_landmarks_csv(tmp_path / "none.csv")
    (tmp_path / "picture.csv").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    with raises_mentioning(ValueError, "picture.csv", "readable", "CSV"):
        read_landmarks_csv(tmp_path / "picture.csv")


def test_the_table_of_a_folder_is_looked_for_in_three_places(tmp_path: Path) -> None:
    folder = tmp_path / "test"
    folder.mkdir()
    with pytest.raises(ValueError, match="no landmarks for") as error:
        find_landmarks_csv(folder)

    for place in (tmp_path / "landmarks.csv", tmp_path / "landmarks_test.csv", folder / "landmarks.csv"):
        assert str(place) in str(error.value)
        place.write_text(GOOD)
        assert find_landmarks_csv(folder) == place

    with pytest.raises(ValueError, match="no folder"):
        find_landmarks_csv(tmp_path / "none")


def test_a_relative_folder_has_its_table_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test").mkdir()
    _table(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path / "test")

    assert find_landmarks_csv(".") == tmp_path / "landmarks.csv"


def test_pictures_are_matched_in_the_order_of_the_table(tmp_path: Path) -> None:
    table = read_landmarks_csv(_table(tmp_path, GOOD))
    (tmp_path / "b.jpg").touch()
    with pytest.raises(ValueError, match=r"1 of the 2 images .* are not in .*a\.jpg.*; give the folder"):
        match_images(table, tmp_path)

    (tmp_path / "a.jpg").touch()
    assert match_images(table, tmp_path) == [tmp_path / "a.jpg", tmp_path / "b.jpg"]


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "/etc/passwd", "a/../../b.jpg", "C:b.jpg", "a\\b.jpg", "\x1b[2J.jpg"]
)
def test_a_table_names_nothing_outside_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadFileError, match=r"landmarks\.csv, row 3") as error:
        read_landmarks_csv(_table(tmp_path, f"file,x0,y0\na.jpg,0,0\n{name},0,0\n"))
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("text", ["٣", "1_0", "1e999", "-inf", "0x1", "1" * 5000, "\x1b[2J", "='1"])
def test_a_cell_that_is_no_plain_number_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadFileError, match=r"row 2, column y0") as error:
        read_landmarks_csv(_table(tmp_path, f"file,x0,y0\na.jpg,0,{text}\n"))
    assert "\x1b" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize("content", ['file,x0,y0\n"' + "a" * 200_000, "file,x0,y0\na\0.jpg,0,0\n", "," * 2_500_000])
def test_what_the_parser_refuses_is_one_line(tmp_path: Path, content: str) -> None:
    with pytest.raises(BadFileError, match=r"landmarks\.csv"):
        read_landmarks_csv(_table(tmp_path, content))


def test_a_header_of_many_columns_is_refused_at_once(tmp_path: Path) -> None:
    many = ",".join(f"x{number},y{number}" for number in range(100_000))
    with pytest.raises(BadFileError, match="100000 landmarks"):
        read_landmarks_csv(_table(tmp_path, f"file,{many}\n"))
    named = ",".join(f"n{number}_x" for number in range(100_000))
    with pytest.raises(BadFileError, match="lacks"):
        read_landmarks_csv(_table(tmp_path, f"file,{named}\n"))


def test_numbers_are_not_kept_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = "file,x0,y0,x1,y1\n" + "".join(f"{row}.jpg,0.25,0.75,0.125,0.875\n" for row in range(4_000))
    path = _table(tmp_path, content)
    tracemalloc.start()
    table = read_landmarks_csv(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(table) == 4_000 and peak < 12 * len(content)
    monkeypatch.setattr("autolink_gen.data.landmarks._MAX_VALUES", 100)
    with pytest.raises(BadFileError, match="more than 100 numbers"):
        read_landmarks_csv(path)


def test_a_quoted_name_is_read_as_it_was(tmp_path: Path) -> None:
    table = read_landmarks_csv(_table(tmp_path, f"file,x0,y0\n{to_cell('=cmd|x.jpg')},0,0\n'a'.jpg,0,0\n"))
    assert table.files == ("=cmd|x.jpg", "'a'.jpg")


def test_the_real_table_of_faces_is_read(shared_dir: Path) -> None:
    folder = shared_dir / "data/faces68/test"

    table = read_landmarks_csv(find_landmarks_csv(folder))

    assert isinstance(table, LandmarkTable)
    assert table.points.shape == (426, 68, 2) and table.visible.all()
    assert len(set(table.people)) == 35
    assert len(match_images(table, folder)) == 426
    # A left eye (42-47) is right of a right eye (36-41), and both are above the mouth (48-67).
    assert (table.points[:, 42:48, 0].mean(axis=1) > table.points[:, 36:42, 0].mean(axis=1)).all()
    assert (table.points[:, 48:, 1].mean(axis=1) > table.points[:, 36:48, 1].mean(axis=1)).all()
