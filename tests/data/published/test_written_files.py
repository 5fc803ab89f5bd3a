"""A prepared set holds what was written for it: what others put there is neither removed, replaced nor trained on."""

import json
import os
from pathlib import Path

import pytest
from helpers.messages import raises_mentioning
from helpers.published_trees import BUILDERS, prepare

from autolink_gen.data.published.prepare import is_prepared
from autolink_gen.data.published.written_files import SplitFiles
from autolink_gen.data.source import open_source

pytestmark = pytest.mark.usefixtures("nobody_says_where")

ROOT = Path("prepared/celeba-aligned")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return BUILDERS["celeba-aligned"](tmp_path)


def _shorten(home: Path, *, rows: int) -> None:
    """Other lists: fewer pictures to test on, which thereby are to be trained on."""
    file = home / "MAFL/testing.txt"
    file.write_text("\n".join(file.read_text().splitlines()[:rows]))


@pytest.mark.parametrize("foreign", ["holiday.jpg", "album/holiday.jpg", "notes.txt"])
def test_what_others_put_there_is_named_and_stays(foreign: str, home: Path) -> None:
    prepare("celeba-aligned", home.parent)
    own = home.parent / ROOT / "train" / foreign
    own.parent.mkdir(exist_ok=True)
    own.write_bytes(b"mine")
    for _ in range(2):
        with raises_mentioning(ValueError, own, "written", "data prepare", "away"):
            prepare("celeba-aligned", home.parent)
        assert own.read_bytes() == b"mine"
        assert not is_prepared("celeba-aligned", home.parent), "it would be trained on"
    own.unlink()
    prepare("celeba-aligned", home.parent)
    assert open_source("celeba-aligned", root=home.parent).folder() == home.parent / ROOT / "train"


def test_several_are_named_in_one_line(home: Path) -> None:
    folder = home.parent / ROOT / "train"
    folder.mkdir(parents=True)
    for number in range(5):
        (folder / f"own-{number}\x1b[2J.jpg").touch()
    with pytest.raises(ValueError, match=r"own-0.* and 2 more were not written") as error:
        prepare("celeba-aligned", home.parent)
    assert "\x1b" not in str(error.value)
    assert len(list(folder.iterdir())) == 5, "nothing is written before it is known that the set can be finished"


def test_pictures_of_earlier_lists_are_removed_by_the_manifest(home: Path) -> None:
    whole = (home / "MAFL/testing.txt").read_text()
    _shorten(home, rows=1)
    prepare("celeba-aligned", home.parent)
    manifest = home.parent / ROOT / "written_train.txt"
    assert manifest.read_text().splitlines() == [f"{n:06d}.jpg" for n in (1, 2, 3, 4, 5, 6, 11, 12)]
    (home / "MAFL/testing.txt").write_text(whole)
    assert [part.removed for part in prepare("celeba-aligned", home.parent)] == [2, 0, 0]
    assert manifest.read_text().splitlines() == [f"{n:06d}.jpg" for n in range(1, 7)]


def test_a_name_that_was_removed_is_nobodys(home: Path) -> None:
    whole = (home / "MAFL/testing.txt").read_text()
    _shorten(home, rows=1)
    prepare("celeba-aligned", home.parent)
    (home / "MAFL/testing.txt").write_text(whole)
    prepare("celeba-aligned", home.parent)
    own = home.parent / ROOT / "train/000011.jpg"
    own.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"000011\.jpg was not written"):
        prepare("celeba-aligned", home.parent)
    assert own.read_bytes() == b"mine"


def test_a_set_without_a_manifest_keeps_what_is_listed_and_loses_nothing(home: Path) -> None:
    whole = (home / "MAFL/testing.txt").read_text()
    _shorten(home, rows=1)
    prepare("celeba-aligned", home.parent)
    for manifest in (home.parent / ROOT).glob("written_*.txt"):
        manifest.unlink()  # as an older version left it
    assert [part.were_there for part in prepare("celeba-aligned", home.parent)] == [8, 3, 1]
    (home / "MAFL/testing.txt").write_text(whole)
    with pytest.raises(ValueError, match=r"000011\.jpg, .*000012\.jpg were not written"):
        prepare("celeba-aligned", home.parent)
    assert (home.parent / ROOT / "train/000011.jpg").is_file()


def test_the_manifest_reaches_nothing_outside(home: Path, tmp_path: Path) -> None:
    prepare("celeba-aligned", home.parent)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "holiday.jpg").write_bytes(b"mine")
    train = home.parent / ROOT / "train"
    (train / "album").symlink_to(outside)
    (train / "linked.jpg").symlink_to(outside / "holiday.jpg")
    names = ["album/holiday.jpg", "album", "linked.jpg", "../../../outside/holiday.jpg", str(outside / "holiday.jpg")]
    with (home.parent / ROOT / "written_train.txt").open("ab") as file:
        file.write(("\n".join(names) + "\n").encode() + b"\xff\x00\n" + b"x" * 10_000)
    with pytest.raises(ValueError, match=r"train/album, .*train/linked\.jpg were not written"):
        prepare("celeba-aligned", home.parent)
    assert (outside / "holiday.jpg").read_bytes() == b"mine" and (train / "linked.jpg").is_symlink()


def test_nothing_is_written_through_links(home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    train = home.parent / ROOT / "train"
    train.parent.mkdir(parents=True)
    train.symlink_to(outside)
    with pytest.raises(ValueError, match="train is a link"):
        prepare("celeba-aligned", home.parent)
    train.unlink()
    train.mkdir()
    (train / "000001.jpg").symlink_to(outside / "new.jpg")  # that leads to nothing
    with pytest.raises(ValueError, match=r"000001\.jpg was not written"):
        prepare("celeba-aligned", home.parent)
    (train / "000001.jpg").unlink()
    (train / f".000001.jpg.{os.getpid()}.tmp").symlink_to(outside / "new.jpg")
    prepare("celeba-aligned", home.parent)
    assert (train / "000001.jpg").is_file() and not (train / "000001.jpg").is_symlink()
    assert not list(outside.iterdir())


def test_folders_that_are_links_are_not_written_into(tmp_path: Path) -> None:
    BUILDERS["cub-all"](tmp_path)
    outside, train = tmp_path / "outside", tmp_path / "prepared/cub-all/train"
    outside.mkdir()
    train.mkdir(parents=True)
    (train / "001.Bird").symlink_to(outside)
    with pytest.raises(ValueError, match=r"001\.Bird leads out of"):
        prepare("cub-all", tmp_path)
    (train / "001.Bird").unlink()
    (train / "001.Bird").symlink_to("001.Bird")
    with pytest.raises(ValueError, match=r"001\.Bird"):
        prepare("cub-all", tmp_path)
    assert not list(outside.iterdir())


def test_a_kill_between_the_manifest_and_the_pictures_is_mended(home: Path) -> None:
    files = SplitFiles(home.parent / ROOT / "train", [f"{number:06d}.jpg" for number in range(1, 7)])
    files.note()
    assert len(files.manifest.read_text().splitlines()) == 6
    assert [part.written for part in prepare("celeba-aligned", home.parent)] == [6, 3, 3]
    assert prepare("celeba-aligned", home.parent)[0].were_there == 6


def test_a_listed_picture_that_cannot_be_read_any_more_is_no_foreign_one(tmp_path: Path) -> None:
    home = BUILDERS["deepfashion"](tmp_path)
    prepare("deepfashion", tmp_path)
    small = tmp_path / "prepared/deepfashion/train/WOMEN/train_1.jpg"
    (home / "img/WOMEN/train_1.jpg").write_text("no picture")
    train = prepare("deepfashion", tmp_path)[0]
    assert (train.total, train.removed, small.exists()) == (2, 0, True)  # the lists name it still


@pytest.mark.parametrize("state", [b"[" * 9000, b"\xff", b"{", b"[1]", b"x" * 20_000])
def test_a_damaged_note_is_no_finished_set(state: bytes, home: Path) -> None:
    prepare("celeba-aligned", home.parent)
    note = home.parent / ROOT / "prepared.json"
    assert json.loads(note.read_bytes())["complete"]
    note.write_bytes(state)
    assert not is_prepared("celeba-aligned", home.parent)
    assert prepare("celeba-aligned", home.parent)[0].were_there == 6


def test_names_that_a_table_would_change_are_refused(tmp_path: Path) -> None:
    home = BUILDERS["human36m"](tmp_path)
    folder = home / "S1/WithBackground"
    (folder / "Walking 1.54138969").rename(folder / "Walking \u202e1.54138969")
    landmarks = home / "S1/Landmarks"
    (landmarks / "Walking 1.54138969").rename(landmarks / "Walking \u202e1.54138969")
    with pytest.raises(ValueError, match=r"Walking \\u202e1"):
        prepare("human36m", tmp_path)


def test_a_box_outside_its_picture_leaves_that_picture_out(tmp_path: Path) -> None:
    home = BUILDERS["cub-all"](tmp_path)
    boxes = home / "bounding_boxes.txt"
    boxes.write_text(boxes.read_text().replace("1 10.0 20.0 30.0 40.0\n", "1 900.0 20.0 0.0 0.0\n", 1))
    train = prepare("cub-all", tmp_path)[0]
    assert (train.total, len(train.errors)) == (3, 1) and "900" in train.errors[0]
