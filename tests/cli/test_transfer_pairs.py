"""`autolink-gen transfer --pairs`: a table in, a result a pair out, each by itself."""

from pathlib import Path

import pytest
from helpers.cli import run_cli
from helpers.messages import assert_line_mentions, assert_mentions, one_line, raises_mentioning
from helpers.tiny_train_transfer import make_transfer_run

from autolink_gen.common.files import BadFileError
from autolink_gen.data.video.reader import VideoReader
from autolink_gen.inference.transfer_pairs import Pair, read_pairs

ONE, OTHER = "voxceleb2/dev/mp4/id1/a/00001.mp4", "voxceleb2/dev/mp4/id2/b/00001.mp4"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_transfer_run(tmp_path_factory.mktemp("place"))


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


def table(folder: Path, *lines: str) -> Path:
    file = folder / "pairs.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_files_are_named_from_the_table_s_folder(tmp_path: Path) -> None:
    file = table(tmp_path, "source,driver,out", "a.jpg,b.mp4,", "a.jpg,/films/b.jpg,x/y.png", "", "c.mp4,d.png,")
    assert read_pairs(file, out=Path("moved")) == [
        Pair(tmp_path / "a.jpg", tmp_path / "b.mp4", Path("moved/a-b.mp4")),
        Pair(tmp_path / "a.jpg", Path("/films/b.jpg"), Path("moved/x/y.png")),
        Pair(tmp_path / "c.mp4", tmp_path / "d.png", Path("moved/c-d.png")),
    ]


@pytest.mark.parametrize(
    "lines",
    [("distance,source,driving,frame", "0.1,a.mp4,b.mp4,3"), ("Source;Driver", "a.mp4;b.mp4")],
    ids=["as others write it", "semicolons"],
)
def test_other_tables_of_pairs_are_read(lines: tuple[str, ...], tmp_path: Path) -> None:
    (pair,) = read_pairs(table(tmp_path, *lines), out=Path())
    assert (pair.source.name, pair.driver.name, pair.out.name) == ("a.mp4", "b.mp4", "a-b.mp4")


@pytest.mark.parametrize(
    ("lines", "things"),
    [
        (("a,b", "1,2"), ("source", "driver", "a, b")),
        (("source,driver",), ("no pairs",)),
        (("source,driver", "a.mp4,"), ("line 2", "driver")),
        (("source,driver", ",b.mp4"), ("line 2", "source")),
        (("source,driver,out", "a.mp4,b.mp4,../x.mp4"), ("line 2", "../x.mp4", "--out")),
        (("source,driver,out", "a.mp4,b.mp4,/x.mp4"), ("line 2", "/x.mp4", "--out")),
        (("source,driver", "1/a.mp4,b.mp4", "2/a.mp4,b.mp4"), ("line 3", "a-b.mp4", "out")),
    ],
)
def test_a_table_that_cannot_be_followed_is_refused_whole(lines, things, tmp_path: Path) -> None:
    file = table(tmp_path, *lines)
    with raises_mentioning(BadFileError, file, *things):
        read_pairs(file, out=Path("moved"))


def test_each_pair_is_made_once_and_fails_by_itself(here: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    lines = [f"{here / ONE},broken.mp4,first.mp4", f"{here / ONE},{here / OTHER},second.mp4"]
    lines += [f"{here / OTHER},{here / ONE},third.gif", f"none.mp4,{here / OTHER},fourth.mp4"]
    file, out = table(tmp_path, "source,driver,out", *lines), tmp_path / "moved"
    result = run_cli("transfer", "--pairs", file, "--out", out, "--size", "96", expect=1)
    assert_line_mentions(result, "failed", tmp_path / "broken.mp4")
    assert_line_mentions(result, "failed", tmp_path / "none.mp4")
    assert_line_mentions(result, "failed", "2 of 4")
    assert f"wrote {out / 'second.mp4'} (4 frames)" in result.output
    assert {path.name for path in out.iterdir()} == {"second.mp4", "third.gif"}
    assert VideoReader(out / "second.mp4").width == 96

    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    file.write_text("\n".join(["source,driver,out", *lines[1:3]]))
    again = run_cli("transfer", "--pairs", file, "--out", out)
    assert_line_mentions(again, "there already", "2 of 2", "--overwrite")
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_pairs_and_one_pair_are_not_mixed(here: Path, tmp_path: Path) -> None:
    file = table(tmp_path, "source,driver", "a.mp4,b.mp4")
    assert_mentions(run_cli("transfer", ONE, OTHER, "--pairs", file, expect=2), "--pairs", "SOURCE", "DRIVER")
    assert_mentions(run_cli("transfer", ONE, expect=2), "--pairs", "SOURCE", "DRIVER")
    assert_mentions(one_line(run_cli("transfer", "--pairs", tmp_path / "none.csv", expect=1)), tmp_path / "none.csv")
