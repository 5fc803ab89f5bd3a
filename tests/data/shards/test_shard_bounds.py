"""Shards of strangers: headers that ask for any memory or time, sizes that cannot be, names that are no names."""

import logging
import os
import tarfile
from pathlib import Path

import pytest
from helpers.messages import raises_mentioning
from helpers.tar_files import numbered, picture, write_tar

from autolink_gen.common.files import BadFileError
from autolink_gen.common.limits import PIXELS_VARIABLE
from autolink_gen.data.images import ImageError
from autolink_gen.data.shards import reader as shards
from autolink_gen.data.shards.reader import ShardImages, read_members

_END = b"\0" * 1024


def _header(name: str, size: int, *, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _after_two(path: Path, more: bytes) -> Path:
    """A tar of two pictures, and then what is hostile."""
    write_tar(path, numbered(0, 1))
    with tarfile.open(path) as tar:
        tar.getmembers()
        end = tar.offset
    path.write_bytes(path.read_bytes()[: end - 512 if path.read_bytes()[end - 512 : end] == _END[:512] else end] + more)
    return path


@pytest.mark.parametrize(
    "more",
    [
        _header("huge.png", 2**60),
        _header("back.png", -512),
        _header("x", 2**40, kind=tarfile.XHDTYPE),
        _header("x", 2**30, kind=tarfile.GNUTYPE_LONGNAME),
        _header("x", -512, kind=tarfile.XHDTYPE),
        (_header("x", 1, kind=tarfile.GNUTYPE_LONGNAME) + b"a" + b"\0" * 511) * 3000,
        _header("x", 512, kind=tarfile.XHDTYPE) + b"20 size=-1000000000\n".ljust(512, b"\0") + _header("a.png", 0),
    ],
    ids=["2^60 bytes", "negative", "pax of a terabyte", "name of a gigabyte", "negative pax", "chain", "negative size"],
)
def test_what_is_before_hostile_headers_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture, more: bytes) -> None:
    path = _after_two(tmp_path / "a.tar", more + _END)
    with caplog.at_level(logging.WARNING):
        members = read_members(path, name=str(path))
    assert [member.name for member in members] == ["000.png", "001.png"]
    assert "is cut or damaged" in caplog.text and "\n" not in caplog.records[-1].getMessage()


def test_nothing_but_hostile_headers_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(_header("x", 2**30, kind=tarfile.XHDTYPE) + b"\0" * 2**20)
    with pytest.raises(BadFileError, match=r"a\.tar.*too long"):
        read_members(tmp_path / "a.tar", name="a.tar")


def test_a_global_header_does_not_grow_without_end(tmp_path: Path) -> None:
    lines = b"".join(b"%d k%05d=%s\n" % (15, number, b"vvvv") for number in range(4000))
    block = lines.ljust(-(-len(lines) // 512) * 512, b"\0")
    more = b"".join(
        _header("g", len(lines), kind=tarfile.XGLTYPE) + block.replace(b" k0", b" %c0" % letter) for letter in b"abcd"
    )
    path = _after_two(tmp_path / "a.tar", more + _header("c.png", 0) + _END)
    assert len(read_members(path, name=str(path))) == 2


def test_members_are_counted_and_not_kept_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_MAX_MEMBERS", 3)
    path = write_tar(tmp_path / "a.tar", numbered(0, 9))
    assert len(read_members(path, name=str(path))) == 3


def test_names_are_names_and_no_paths(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = {"../../outside.png": picture(1), "/etc/x.png": picture(2), "a\x1b[31m\n.png": b"no picture"}
    data = ShardImages(write_tar(tmp_path / "a.tar", names), image_size=8, max_bad_share=0.5)
    with caplog.at_level(logging.WARNING):
        assert [int(data[index][0, 0, 0]) for index in range(2)] == [1, 2]
        assert int(data[2][0, 0, 0]) == 1
    assert r"a\x1b[31m\n.png" in caplog.records[-1].getMessage()
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_a_member_too_large_for_a_picture_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        file.write(_header("000.png", 2**27))
        file.truncate(512 + 2**27)
        file.seek(0, os.SEEK_END)
        file.write(_END)
    monkeypatch.setenv(PIXELS_VARIABLE, "1000")
    data = ShardImages(path, image_size=8)
    with raises_mentioning(ImageError, 134_217_728, "bytes", "pack"):
        data._decode(0)


def test_a_pipe_is_no_shard(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tar")
    with pytest.raises(ValueError, match="no ordinary file"):
        ShardImages(str(tmp_path / "a.tar"), image_size=8)
