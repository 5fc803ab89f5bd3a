"""Pictures in shards: order, foreign forms, damage, their memory, and loader workers."""

import gzip
import io
import logging
import multiprocessing
import pickle
import tarfile
from pathlib import Path

import pytest
import torch
from helpers.messages import assert_line_mentions, raises_mentioning
from helpers.tar_files import numbered, picture, write_tar
from torch.utils.data import DataLoader

from autolink_gen.data.shards.reader import ShardImages, read_members
from autolink_gen.data.source import open_source
from autolink_gen.data.sources.folder import FolderSource
from autolink_gen.data.sources.shards import ShardSource

TEXT = b"<html>404 Not Found</html>"


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Six pictures in two shards, beside a text."""
    write_tar(tmp_path / "s-000000.tar", numbered(0, 3))
    write_tar(tmp_path / "s-000001.tar", numbered(4, 5))
    (tmp_path / "notes.txt").touch()
    return tmp_path


def _red(dataset) -> list[int]:
    return [int(dataset[index][0, 0, 0]) for index in range(len(dataset))]


def _read(data: str | Path, **changes) -> ShardImages:
    return ShardImages(data, **{"image_size": 8, **changes})


@pytest.mark.parametrize("name", ["s-{000000..000001}.tar", "s-*.tar", "{s-000000,s-000001}.tar", ""])
def test_several_shards_are_one_data_set_in_their_order(shards: Path, name: str) -> None:
    dataset = open_source(f"{shards}/{name}").images(size=8)

    assert isinstance(dataset, ShardImages)
    assert dataset[0].shape == (3, 8, 8) and dataset[0].dtype == torch.uint8
    assert _red(dataset) == [0, 1, 2, 3, 4, 5] and dataset[-1][0, 0, 0] == 5
    assert dataset.name_of(5) == f"005.png in {shards / 's-000001.tar'}"
    with pytest.raises(IndexError):
        dataset[6]


def test_one_shard_and_shards_in_another_order(shards: Path) -> None:
    assert _red(open_source(shards / "s-000001.tar").images(size=8)) == [4, 5]
    assert _red(_read(f"{shards}/s-{{000001..000000}}.tar")) == [4, 5, 0, 1, 2, 3]


def test_fit_is_honoured_and_classes_are_refused(shards: Path) -> None:
    assert open_source(shards).images(size=20, fit="pad")[5][:, 0, 0].tolist() == [127, 127, 127]
    with raises_mentioning(ValueError, "shards", "classes", "--classes"):
        open_source(shards, classes=("cat",)).images(size=8)


def test_shards_mix_with_others_and_hold_nothing_out(shards: Path) -> None:
    first, second = shards / "s-000000.tar", shards / "s-000001.tar"

    assert len(open_source(f"{first}+puppets").images(size=32)) > 8
    both = open_source(f"{first} + {second}").images(size=8)
    assert _red(both) == [0, 4, 1, 5, 2, 4, 3, 5]
    assert open_source(shards).held_out(size=8) is None
    assert open_source(f"{first}+puppets").held_out(size=32) is None


def test_a_plus_in_the_name_of_shards_that_are_there_parts_nothing(tmp_path: Path) -> None:
    write_tar(tmp_path / "a+b" / "c+d-0.tar", numbered(0, 0))
    data = f"{tmp_path}/a+b/c+d-{{0..0}}.tar"

    assert [part.text for part in open_source(data).parts] == [data]
    both = open_source(f"https://a/{'x' * 300}.tar+puppets")
    assert [part.text for part in both.parts] == [f"https://a/{'x' * 300}.tar", "puppets"]
    assert isinstance(both.parts[0], ShardSource) and both.parts[0].path is None


def test_clips_cannot_come_from_shards(shards: Path) -> None:
    with raises_mentioning(ValueError, "shards", ("clips", "videos"), "landmarks", "folder"):
        open_source(shards).clips(size=32)


def test_a_folder_with_pictures_or_videos_is_no_folder_of_shards(shards: Path) -> None:
    assert isinstance(open_source(shards), ShardSource)
    (shards / "a" / "b").mkdir(parents=True)
    (shards / "a" / "b" / "c.MP4").touch()
    assert isinstance(open_source(shards), FolderSource)
    (shards / "a" / "b" / "c.MP4").rename(shards / "a" / "b" / "c.jpg")
    assert isinstance(open_source(shards), FolderSource)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_tars_of_other_writers(tmp_path: Path, form: int, caplog: pytest.LogCaptureFixture) -> None:
    long = "ä" * 60 if form != tarfile.USTAR_FORMAT else "long"
    files = {
        "./cats/1.cls": b"0",
        "./cats/1.JPEG": picture(200, kind="JPEG"),
        "./cats/1.seg.png": picture(7),
        "./cats/._1.png": TEXT,
        "__MACOSX/cats/1.png": TEXT,
        "cats.v2/1.png": picture(3),
        f"{long}/{long}/2.left.png": picture(4),
        "3.json": b"{}",
    }
    path = write_tar(tmp_path / "a.tar", files, form=form)

    dataset = _read(path)

    assert dataset.member_names == ["./cats/1.JPEG", "cats.v2/1.png", f"{long}/{long}/2.left.png"]
    assert [abs(red - expected) <= 2 for red, expected in zip(_red(dataset), (200, 3, 4), strict=True)] == [True] * 3
    assert "1 images are passed over" in caplog.text


def test_folders_and_links_in_a_tar_are_no_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind in (("a.png", tarfile.DIRTYPE), ("b.png", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "c.png"
            tar.addfile(info)
        info = tarfile.TarInfo("c.png")
        info.size = len(picture(9))
        tar.addfile(info, io.BytesIO(picture(9)))

    assert _red(_read(path)) == [9]


@pytest.mark.parametrize(
    ("number", "beyond", "left"),
    [(3, 512, [0, 1, 2, 3]), (3, -100, [0, 1, 2]), (2, 10, [0, 1])],
    ids=["the end alone", "in the header of the fourth", "in the third"],
)
def test_a_cut_shard_gives_what_is_whole(
    tmp_path: Path, number: int, beyond: int, left: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    path = write_tar(tmp_path / "a.tar", numbered(0, 3))
    path.write_bytes(path.read_bytes()[: read_members(path, name="a.tar")[number].offset + beyond])

    assert _red(_read(path)) == left
    assert_line_mentions(caplog.messages, path, ("cut", "damaged"), f"{left[-1]:03}.png")
    assert "pack it anew" in caplog.text and f"first {len(left)} files" in caplog.text


def test_a_damaged_header_ends_a_shard(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_tar(tmp_path / "a.tar", numbered(0, 3))
    content = bytearray(path.read_bytes())
    third = read_members(path, name="a.tar")[2].offset
    content[third - 512 : third - 500] = b"\xff" * 12
    path.write_bytes(content)

    assert _red(_read(path)) == [0, 1]
    assert_line_mentions(caplog.messages, path, "end", "tar file")


@pytest.mark.parametrize(
    ("content", "things"),
    [
        (TEXT, ("a.tar", "no tar file")),
        (TEXT * 100, ("a.tar", "no tar file")),
        (b"", ("empty", "0 bytes")),
        (gzip.compress(TEXT), ("compressed", "gunzip")),
        (bytes(10240), (".jpg", 1, "nothing")),
    ],
    ids=["text", "long text", "no bytes", "compressed", "empty tar"],
)
def test_what_is_no_shard_is_said(tmp_path: Path, content: bytes, things: tuple) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    with raises_mentioning(ValueError, *things):
        open_source(tmp_path / "a.tar").images(size=8)


def test_a_shard_cut_in_its_first_file_or_without_pictures(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.json": b"{}", "b.json": b"{}", "c.txt": b"x" * 600})
    with pytest.raises(ValueError, match=r"found 2 x \.json, 1 x \.txt"):
        _read(path)
    path.write_bytes(path.read_bytes()[:513])
    with pytest.raises(ValueError, match=r"nothing in the shard .*a\.tar can be read: a\.json goes beyond its end"):
        _read(path)


# ---- memory and damage, as of a folder ----


def test_a_picture_is_read_once_and_travels_without_its_memory(shards: Path) -> None:
    dataset = _read(shards, image_size=64)
    assert _red(dataset) == [0, 1, 2, 3, 4, 5]
    content = pickle.dumps(dataset)
    assert len(content) < 5_000 and _red(pickle.loads(content)) == [0, 1, 2, 3, 4, 5]
    for file in dataset.files:
        file.unlink()
    dataset[1].zero_()
    assert _red(dataset) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match=r"2 of the 6 images in .* cannot be read \(000\.png in .*s-000000"):
        pickle.loads(content)[0]


def test_bad_members_are_reported_once_and_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_tar(tmp_path / "a.tar", {**numbered(0, 3), "004.png": TEXT})
    dataset = _read(path)

    with caplog.at_level(logging.WARNING):
        assert _red(dataset) == _red(dataset) == [0, 1, 2, 3, 0]

    assert dataset.bad_indices == [4] and caplog.text.count(f"cannot read 004.png in {path}: its content") == 1
    assert_line_mentions(caplog.messages, "pack", "next")


def test_too_many_bad_members_are_an_error(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {**numbered(0, 9), "003.png": TEXT, "007.png": b""})
    with pytest.raises(ValueError, match=r"2 of the 10 images in .*\(003\.png in .*; pack the shards anew"):
        _red(_read(path))
    assert len(_red(_read(path, max_bad_share=0.2))) == 10


@pytest.mark.parametrize("start", [way for way in ("fork", "spawn") if way in multiprocessing.get_all_start_methods()])
def test_loader_workers_read_the_same(shards: Path, start: str) -> None:
    loader = DataLoader(_read(shards), batch_size=2, num_workers=2, multiprocessing_context=start)
    assert torch.cat(list(loader))[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
