"""Published sets whose files were made to do harm: names that lead out, arrays that declare more than they hold."""

import json
import pickle
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.messages import raises_mentioning
from helpers.published_trees import BUILDERS, old_frame, prepare
from scipy.io import loadmat, savemat

from autolink_gen.common.files import BadFileError
from autolink_gen.data.inner_names import inner_name
from autolink_gen.data.published.list_files import are_numbers, names_in, numbers_by_name, read_bytes
from autolink_gen.data.published.mat_files import read_mat

pytestmark = pytest.mark.usefixtures("nobody_says_where")

WICKED = (
    "../../stolen",
    "/etc/stolen",
    "a/../../stolen",
    "..",
    "C:stolen",
    "a\\..\\stolen",
    "\0",
    "a\x1b[31m",
    "x" * 300,
)


@pytest.mark.parametrize("name", [*WICKED, "", ".", "a/", "a\nb", "\ud800", "a\u2028b", "a/" * 600 + "b", None, 7])
def test_a_name_that_leads_elsewhere_is_refused(name: Any) -> None:
    with pytest.raises(BadFileError, match=r"list\.txt, row 7"):
        inner_name(name, "list.txt, row 7")


@pytest.mark.parametrize(
    "name", ["a.jpg", "./a.jpg", "WOMEN/a b.jpg", "ä/日本.png", "..a/b..jpg", "clip#1:2.png", "=a"]
)
def test_a_name_inside_is_taken_as_it_is(name: str) -> None:
    assert inner_name(name, "list.txt, row 7") == name


def _tell(home: Path, file: str, before: str, after: str) -> None:
    path = home / file
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


LISTS = [
    ("celeba-aligned", "list_landmarks_align_celeba.txt", "000003.jpg", "row 5"),
    ("celeba-aligned", "MAFL/training.txt", "000007.jpg", "row 1"),
    ("celeba-wild", "list_bbox_celeba.txt", "000002.jpg", "row 4"),
    ("deepfashion", "data_train.csv", "WOMEN/train_1.jpg", "row 3"),
    ("cub-all", "images.txt", "001.Bird/Bird_0001.jpg", "image 1"),
]


@pytest.mark.parametrize(("name", "file", "before", "row"), LISTS)
@pytest.mark.parametrize("wicked", ["../../stolen.jpg", "/etc/stolen.jpg", "C:stolen.jpg", "a\\stolen.jpg"])
def test_lists_name_nothing_outside(name: str, file: str, before: str, row: str, wicked: str, tmp_path: Path) -> None:
    _tell(BUILDERS[name](tmp_path), file, before, wicked)
    with pytest.raises(BadFileError, match=f"{Path(file).name}, {row}: .*stolen"):
        prepare(name, tmp_path)
    assert not (tmp_path / "prepared").exists() and not list(tmp_path.parent.glob("stolen*"))


@pytest.mark.parametrize("wicked", ["../../stolen.png", "/etc/stolen.png", 7])
def test_pickled_tables_name_nothing_outside(wicked: Any, tmp_path: Path) -> None:
    table = BUILDERS["taichi"](tmp_path) / "landmark/taichi_test_gt.pkl"
    points = [np.tile([51.0, 102.0], (18, 1)) for _ in range(2)]
    table.write_bytes(pickle.dumps(old_frame({"file_name": ["clip#0.png", wicked], "value": points})))
    with pytest.raises(BadFileError, match=r"taichi_test_gt\.pkl, row 2: "):
        prepare("taichi", tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("data_test.json", b"[" * 100_000),
        ("data_test.json", b"[" + b"9" * 5000 + b"]"),
        ("data_test.json", b"\xff\xfe{"),
        ("data_test.json", b'{"keypoints": 1}'),
        ("data_test.json", b'[{"keypoints": [[1, 2], [3]]}]'),
        ("data_test.json", b'[{"keypoints": [[1, 1e999]]}]'),
        ("data_test.json", b'[{"keypoints": [[1, -Infinity]]}]'),
        ("data_test.json", b'[{"keypoints": [[1, ' + b"9" * 400 + b"]]}]"),
        ("data_test.json", b'[{"keypoints": "abc"}]'),
        ("data_test.csv", b'"' + b"x" * 200_000 + b'"\n'),
        ("data_test.csv", b",file\n0,a\0b.jpg\n"),
        ("data_test.csv", b"\xff\xfe,file\n"),
    ],
)
def test_what_a_parser_raises_is_one_line(file: str, content: bytes, tmp_path: Path) -> None:
    home = BUILDERS["deepfashion"](tmp_path)
    (home / file).write_bytes(content)
    with pytest.raises(BadFileError, match=file) as error:
        prepare("deepfashion", tmp_path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize(
    "word", ["٣", "1e999", "nan", "inf", "1_0", "0x1", "", "-", ".", "1" * 5000, "²", "1e-", "--1"]
)
def test_words_that_are_no_plain_numbers(word: str) -> None:
    assert not are_numbers([word])
    assert are_numbers(["1", "-1.5", "+.5", "2.", "1e3", "0"])


def test_a_number_that_is_none_names_its_row(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("2\nx y\na.jpg 1 2\nb.jpg 1 \x1b[2J٣\n")
    with pytest.raises(BadFileError, match=r"list\.txt, row 4") as error:
        numbers_by_name(file, columns=2)
    assert "\x1b" not in str(error.value)


def test_lists_that_do_not_end_are_not_read(tmp_path: Path) -> None:
    link = tmp_path / "list.txt"
    link.symlink_to("/dev/zero")
    with pytest.raises(BadFileError, match=r"no file .*list\.txt"):
        names_in(link)
    (tmp_path / "long.txt").write_bytes(b"x" * 101)
    with pytest.raises(BadFileError, match=r"long\.txt has more than 100 bytes"):
        read_bytes(tmp_path / "long.txt", most=100)
    assert len(read_bytes(tmp_path / "long.txt", most=101)) == 101


# ---- MATLAB ----


def _element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content


def _matrix(name: bytes, shape: tuple[int, int], values: bytes, *, mat_class: int = 6, values_type: int = 9) -> bytes:
    """A variable of version 5: flags, dimensions, name, values (miDOUBLE)."""
    inside = _element(6, struct.pack("<II", mat_class, 0)) + _element(5, struct.pack("<ii", *shape))
    return _element(14, inside + _element(1, name + b"\0" * (-len(name) % 8)) + _element(values_type, values))


def _mat(file: Path, *elements: bytes) -> Path:
    file.write_bytes(b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x0100) + b"IM" + b"".join(elements))
    return file


def _packed(element: bytes) -> bytes:
    return _element(15, zlib.compress(element))


def _peak_mib(work: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pack", [lambda element: element, _packed])
def test_arrays_are_read_packed_or_not(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    values = struct.pack("<4d", 1, 2, 3, 4)
    file = _mat(
        tmp_path / "a.mat", pack(_matrix(b"other000", (2, 2), values)), pack(_matrix(b"tstid000", (2, 2), values))
    )
    assert read_mat(file, "tstid000").tolist() == [[1, 3], [2, 4]]
    with pytest.raises(BadFileError, match="it has no trnid"):
        read_mat(file, "trnid")


def test_a_matlab_file_does_not_take_what_it_declares(tmp_path: Path) -> None:
    bomb = _packed(_matrix(b"tstid000", (1, 2**27), b"\0" * 2**27))
    cells = _matrix(b"tstid000", (2**14, 2**14), b"", mat_class=1)
    structure = _matrix(b"tstid000", (2**14, 2**14), b"", mat_class=2)
    numbers = _matrix(b"tstid000", (2**14, 2**14), b"\0" * 8)
    tag = struct.pack("<II", 14, 2**32 - 1)
    for number, elements in enumerate(([bomb], [cells], [structure], [numbers], [_packed(cells)], [tag], [tag[:4]])):
        file = _mat(tmp_path / f"{number}.mat", *elements)

        def read(file: Path = file) -> None:
            with raises_mentioning(BadFileError, file.name, "readable MATLAB", "variable tstid000"):
                read_mat(file, "tstid000")

        assert file.stat().st_size < 2**20 and _peak_mib(read) < 200


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"])
def test_arrays_are_those_that_another_reader_gives(kind: str, packed: bool, tmp_path: Path) -> None:
    values = {"short": np.arange(3), "wanted": np.arange(100).reshape(5, 20) * 1.5 - 7, "empty": np.zeros((0, 3))}
    typed = {name: array.astype(kind) for name, array in values.items()} | {"cells": np.array([[1, "a"]], object)}
    savemat(tmp_path / "a.mat", typed, do_compression=packed)
    for name in values:
        theirs = loadmat(tmp_path / "a.mat")[name]
        ours = read_mat(tmp_path / "a.mat", name)
        assert ours.shape == theirs.shape and np.array_equal(ours, theirs)
    with raises_mentioning(BadFileError, "cells", "real numbers"):
        read_mat(tmp_path / "a.mat", "cells")


def test_a_damaged_matlab_file_does_not_end_the_program(tmp_path: Path) -> None:
    """The kind of numbers is none that there is: scipy reads from a place of its own then."""
    bad_kind = _matrix(b"tstid000", (1, 4), struct.pack("<4d", 1, 2, 3, 4), values_type=0x010C)
    many = _packed(_element(14, b"") * 2**20)
    for number, element in enumerate((bad_kind, many, _element(14, b"\6\0\0\0"), _matrix(b"tstid000", (-1, -4), b""))):
        with raises_mentioning(BadFileError, f"{number}.mat", "readable MATLAB"):
            read_mat(_mat(tmp_path / f"{number}.mat", element), "tstid000")
    savemat(tmp_path / "old.mat", {"tstid000": [[1]]}, format="4")
    with pytest.raises(BadFileError, match="version 5"):
        read_mat(tmp_path / "old.mat", "tstid000")


@pytest.mark.parametrize("name", ["a\u202egpj.exe", "a\u200b"])
@pytest.mark.parametrize("wild", [False, True])
def test_a_name_without_a_row_is_told_in_plain_characters(name: str, wild: bool, tmp_path: Path) -> None:
    home = BUILDERS["celeba-wild" if wild else "celeba-aligned"](tmp_path)
    (home / "MAFL/testing.txt").write_text(f"{name}.jpg\n")
    with pytest.raises(ValueError, match=r"has no row for a\\u20") as error:
        prepare("celeba-wild" if wild else "celeba-aligned", tmp_path)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("values", [[[1.5]], [[-1]], [[1e9]], [[np.inf]], [[np.nan]], "text", {"a": 1}, [[1j]]])
def test_flowers_are_numbered_by_numbers(values: Any, tmp_path: Path) -> None:
    home = BUILDERS["flowers"](tmp_path)
    savemat(home / "setid.mat", {"trnid": [[2]], "tstid": values})
    with pytest.raises(BadFileError, match=r"setid\.mat"):
        prepare("flowers", tmp_path)


def test_landmark_files_are_json_by_themselves(tmp_path: Path) -> None:
    home = BUILDERS["deepfashion"](tmp_path)
    rows = json.loads((home / "data_test.json").read_text())
    rows[0]["keypoints"][0] = [float("nan"), 3]
    (home / "data_test.json").write_text(json.dumps(rows))
    assert [part.total for part in prepare("deepfashion", tmp_path)] == [3, 2]
