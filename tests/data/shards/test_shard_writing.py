"""Packing a folder into shards: what is in them, that it is the same every time, and what is refused."""

import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.messages import assert_line_mentions, raises_mentioning
from helpers.tar_files import picture

from autolink_gen.data.image_folder import ImageFolder
from autolink_gen.data.shards import writer as shard_writing
from autolink_gen.data.shards.reader import ShardImages
from autolink_gen.data.shards.writer import pack_pictures

FILES = {"b/2.png": 2, "b/1.JPG": 1, "a.v2.png": 3, "a_v2.png": 4, "c.jpeg": 5, "c.png": 6, "d.webp": 7}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven pictures at two depths, names with dots and of the same stem among them, and a text."""
    base = tmp_path / "pictures"
    for name, red in FILES.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(picture(30 * red))
    (base / "notes.txt").touch()
    return base


def _names(path: Path) -> list[str]:
    with tarfile.open(path, "r:") as tar:
        return tar.getnames()


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_shard_holds_the_files_as_they_are_each_under_its_own_key(folder: Path, tmp_path: Path) -> None:
    packed = pack_pictures(folder, tmp_path / "out" / "p.tar")

    assert packed.files == (tmp_path / "out" / "p.tar",) and packed.pattern == str(tmp_path / "out" / "p.tar")
    assert (packed.num_images, packed.unreadable) == (7, ())
    assert packed.num_bytes == packed.files[0].stat().st_size
    names = ["a_v2.png", "a_v2_2.png", "b/1.jpg", "b/2.png", "c.jpeg", "c_2.png", "d.webp"]
    assert _names(packed.files[0]) == names
    with tarfile.open(packed.files[0]) as tar:
        content = [tar.extractfile(name).read() for name in names]
        assert {(info.mtime, info.uid, info.gid, info.uname, info.gname, info.mode) for info in tar} == {
            (0, 0, 0, "", "", 0o644)
        }
    assert content == [path.read_bytes() for path in sorted(folder.rglob("*.*")) if path.suffix != ".txt"]
    assert _left(tmp_path / "out") == ["p.tar"]


def test_the_pictures_are_those_of_the_folder_in_its_order(folder: Path, tmp_path: Path) -> None:
    packed = pack_pictures(folder, tmp_path / "p.tar", per_shard=3)

    assert [path.name for path in packed.files] == ["p-000000.tar", "p-000001.tar", "p-000002.tar"]
    assert packed.pattern == f"{tmp_path}/p-{{000000..000002}}.tar"
    read, stored = ShardImages(packed.pattern, image_size=16), ImageFolder(folder, image_size=16)
    assert len(read) == len(stored) == 7
    assert all(torch.equal(read[index], stored[index]) for index in range(7))
    assert pack_pictures(folder, tmp_path / "q.tar", per_shard=100).pattern == f"{tmp_path}/q-000000.tar"


def test_the_same_pictures_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    first = pack_pictures(folder, tmp_path / "p.tar").files[0].read_bytes()
    other = folder.rename(tmp_path / "elsewhere")
    (other / "c.png").touch()

    assert pack_pictures(other, tmp_path / "q.tar").files[0].read_bytes() == first


def test_what_is_there_is_kept_or_replaced_as_a_whole(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack_pictures(folder, out / "p.tar", per_shard=2)
    before = {path: path.read_bytes() for path in out.iterdir()}
    (out / "p-notes.tar").touch()
    pack_pictures(folder, out / "p.tar")

    for per_shard in (1, 3, 5, 7):
        with raises_mentioning(ValueError, "p-000000.tar", "already", "--overwrite"):
            pack_pictures(folder, out / "p.tar", per_shard=per_shard)
    assert {path: path.read_bytes() for path in before} == before

    pack_pictures(folder, out / "p.tar", per_shard=5, overwrite=True)
    assert _left(out) == ["p-000000.tar", "p-000001.tar", "p-notes.tar", "p.tar"]
    assert len(_names(out / "p-000000.tar")) == 5


@pytest.mark.parametrize("per_shard", [None, 3, 7])
@pytest.mark.parametrize("bad", [False, True])
def test_a_repeated_call_keeps_what_it_packed(
    folder: Path, tmp_path: Path, per_shard: int | None, bad: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bad:
        (folder / "b/2.png").write_text("no picture")
    packed = pack_pictures(folder, tmp_path / "p.tar", per_shard=per_shard)
    monkeypatch.setattr(shard_writing, "_write", lambda *_: pytest.fail("it packs again"))

    again = pack_pictures(folder, tmp_path / "p.tar", per_shard=per_shard)
    assert again == replace(packed, were_there=True) and not packed.were_there
    assert len(again.unreadable) == bad and again.num_images == 7 - bad


@pytest.mark.parametrize("change", ["more", "fewer", "larger", "newer", "renamed", "mended", "cut", "no tar"])
def test_shards_of_other_pictures_are_kept_and_refused(folder: Path, tmp_path: Path, change: str) -> None:
    (folder / "e.png").write_text("no picture")
    target = tmp_path / "p.tar"
    pack_pictures(folder, target)
    if change == "more":
        (folder / "b/3.png").write_bytes(picture(1))
    elif change == "fewer":
        (folder / "b/2.png").unlink()
    elif change == "larger":
        (folder / "b/2.png").write_bytes((folder / "b/2.png").read_bytes() + b"more")
    elif change == "newer":  # of the same length, as bitmaps are
        os.utime(folder / "b/2.png", (2e9, 2e9))
    elif change == "renamed":
        (folder / "b/2.png").rename(folder / "b/3.png")
    elif change == "mended":
        (folder / "e.png").write_bytes(picture(1))
    elif change == "cut":
        target.write_bytes(target.read_bytes()[:3000])
    else:
        target.write_text("mine")
    before = target.read_bytes()
    with pytest.raises(ValueError, match=r"p\.tar is there already.*--overwrite"):
        pack_pictures(folder, target)
    assert target.read_bytes() == before and sorted(path.name for path in tmp_path.iterdir()) == ["p.tar", "pictures"]


def test_unreadable_pictures_are_left_out_and_named(folder: Path, tmp_path: Path) -> None:
    (folder / "c.png").write_text("no picture")

    packed = pack_pictures(folder, tmp_path / "p.tar")

    assert packed.num_images == 6 and _names(packed.files[0])[-2:] == ["c.jpeg", "d.webp"]
    assert [bad.path for bad in packed.unreadable] == [folder / "c.png"]
    assert_line_mentions(packed.unreadable[0].reason, "content", "known")


def test_too_many_unreadable_pictures_leave_nothing(folder: Path, tmp_path: Path) -> None:
    for name in ("c.jpeg", "d.webp"):
        (folder / name).write_bytes(b"")

    with pytest.raises(ValueError, match=r"2 of the 7 images .*c\.jpeg, .*d\.webp.*autolink-gen data check"):
        pack_pictures(folder, tmp_path / "out" / "p.tar", per_shard=2)
    assert _left(tmp_path / "out") == []


def test_one_picture_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_text("no picture")
    with raises_mentioning(ValueError, "none", "read", "others"):
        pack_pictures(tmp_path / "in", tmp_path / "p.tar")
    assert _left(tmp_path) == ["in"]


def test_a_full_disk_leaves_what_was_there(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    before = [path.read_bytes() for path in pack_pictures(folder, out / "p.tar", per_shard=3).files]

    def full(path: Path) -> None:
        if path.name == "p-000001.tar":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(shard_writing, "sync_file", full)
    with raises_mentioning(OSError, "p.tar", "No space left", "choose"):
        pack_pictures(folder, out / "p.tar", per_shard=3, overwrite=True)
    assert _left(out) == ["p-000000.tar", "p-000001.tar", "p-000002.tar"]
    assert [path.read_bytes() for path in sorted(out.iterdir())] == before


@pytest.mark.parametrize(
    ("name", "things"),
    [
        ("p.tar.gz", ("p.tar.gz", "name", "ends", ".tar")),
        ("p-{000..003}.tar", ("braces", "--per-shard")),
        ("pictures/p.tar", ("pictures", "packed", "outside")),
        ("folder.tar", ("folder.tar", "folder", "file")),
        ("file/a/p.tar", ("is a file", "file/a/p.tar")),
    ],
)
def test_targets_that_cannot_be(folder: Path, tmp_path: Path, name: str, things: tuple[str, ...]) -> None:
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "file").touch()
    with raises_mentioning(ValueError, *things):
        pack_pictures(folder, tmp_path / name)


@pytest.mark.parametrize(("per_shard", "message"), [(0, "give 1 or more"), (1, "makes more than 2 shards")])
def test_a_number_of_pictures_that_cannot_be(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_shard: int, message: str
) -> None:
    monkeypatch.setattr(shard_writing, "MAX_SHARDS", 2)
    with pytest.raises(ValueError, match=message):
        pack_pictures(folder, tmp_path / "p.tar", per_shard=per_shard)
