"""Tables that pandas has pickled, read without pandas and without executing them."""

import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.messages import raises_mentioning

from autolink_gen.data.published.pandas_pickle import read_frame


def frame() -> pd.DataFrame:
    values = [np.full((18, 2), number, float) for number in range(3)]
    return pd.DataFrame({"number": [4, 5, 6], "file_name": ["a.png", "b.png", "c.png"], "value": values})


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("texts", ["object", "string"])
def test_columns_are_read(protocol: int, texts: str, tmp_path: Path) -> None:
    table = frame().astype({"file_name": texts})
    (tmp_path / "table.pkl").write_bytes(pickle.dumps(table, protocol=protocol))
    found = read_frame(tmp_path / "table.pkl", ("file_name", "value", "number"))
    assert found["file_name"].tolist() == ["a.png", "b.png", "c.png"] and found["number"].tolist() == [4, 5, 6]
    assert [value.mean() for value in found["value"]] == [0, 1, 2] and found["value"][0].shape == (18, 2)


class _Attack:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.file),)


def test_nothing_is_executed(tmp_path: Path) -> None:
    table = pickle.dumps({"table": frame(), "attack": _Attack(tmp_path / "made")})
    (tmp_path / "table.pkl").write_bytes(table)
    assert len(read_frame(tmp_path / "table.pkl", ("value",))["value"]) == 3
    assert not (tmp_path / "made").exists()
    pickle.loads(table)  # so that the attack would have worked
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "things"),
    [
        (b"text", ("pickle", "readable", "table")),
        (b"", ("pickle", "readable", "table")),
        (pickle.dumps([1, 2]), ("table", "columns value")),
        (pickle.dumps(pd.DataFrame({"other": [1]})), ("table", "columns value")),
        (pickle.dumps(np.array(["value"], object)), ("values of value", "form")),
    ],
)
def test_other_files_are_refused(content: bytes, things: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "table.pkl").write_bytes(content)
    with raises_mentioning(ValueError, "table.pkl", *things):
        read_frame(tmp_path / "table.pkl", ("value",))


def test_columns_of_different_lengths_are_refused(tmp_path: Path) -> None:
    table = frame().drop(columns="number")
    content = pickle.dumps(table, protocol=4)
    cut = content.replace(b"\x8c\x05a.png\x94\x8c\x05b.png", b"\x8c\x05a.png")  # one text fewer
    (tmp_path / "table.pkl").write_bytes(cut)
    with pytest.raises(ValueError, match=r"table\.pkl"):
        read_frame(tmp_path / "table.pkl", ("file_name", "value"))


def test_values_that_are_objects_are_lists(tmp_path: Path) -> None:
    values = [np.array([[1.0, 2.0], [3.0, 4.0]], object) for _ in range(2)]
    pd.DataFrame({"file_name": ["a", "b"], "value": values}).to_pickle(tmp_path / "table.pkl")
    found = read_frame(tmp_path / "table.pkl", ("file_name", "value"))
    assert [list(value) for value in found["value"]] == [[1.0, 2.0, 3.0, 4.0]] * 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file .*table.pkl"):
        read_frame(tmp_path / "table.pkl", ("value",))
