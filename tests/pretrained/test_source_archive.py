"""One member of a .tar.gz: found, and bounded whatever the archive says."""

import gzip
import io
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from autolink_gen.common.files import BadFileError
from autolink_gen.pretrained import source_archive
from autolink_gen.pretrained.files import NETWORKS, read_archive
from autolink_gen.pretrained.source_archive import MOST_BYTES, MOST_MEMBERS, read_member

MIB = 2**20


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def packed(path: Path, *parts: bytes) -> Path:
    """A gzip file of these parts, the best compressed; a part may be large and empty."""
    with gzip.open(path, "wb") as file:
        for part in parts:
            file.write(part)
    return path


def archive(path: Path, **contents: bytes) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"a-1/{name}.ckpt")
            member.size, member.mtime = len(content), 1.5  # which takes a header of its own, as in packages
            file.addfile(member, io.BytesIO(content))
    return path


def test_a_member_is_found_by_its_ending(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz", one=b"1" * 700, two=b"2" * 512, three=b"")
    assert read_member(path, "/two.ckpt", most_bytes=512) == ("a-1/two.ckpt", b"2" * 512)
    assert read_member(path, "/three.ckpt", most_bytes=0) == ("a-1/three.ckpt", b"")
    assert read_member(path, "/four.ckpt", most_bytes=512) is None


def test_a_folder_or_a_link_of_that_name_is_not_the_member(tmp_path: Path) -> None:
    kinds = (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)
    blocks = [header("w.ckpt", 0, kind) for kind in kinds]
    path = packed(tmp_path / "a.tar.gz", *blocks, header("w.ckpt", 3), b"yes".ljust(512, b"\0"))
    assert read_member(path, "w.ckpt", most_bytes=3) == ("w.ckpt", b"yes")


def test_a_member_above_its_size_is_not_read(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.tar.gz", header("w.ckpt", 100 * MIB), bytes(100 * MIB))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"104,857,600 bytes, more than 1,000"):
        read_member(path, "w.ckpt", most_bytes=1000)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 4 * MIB


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_bomb_before_the_member_ends_in_bounded_memory(kind: bytes, tmp_path: Path) -> None:
    path = packed(tmp_path / "a.tar.gz", header("bomb", 300 * MIB, kind), *([b"1" * MIB] * 140))
    assert path.stat().st_size < MIB
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"unpacks to more than {MOST_BYTES:,}"):
        read_member(path, "w.ckpt", most_bytes=1000)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 4 * MIB


def test_members_without_end_are_counted(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.tar.gz", header("x", 0) * (MOST_MEMBERS + 1))
    with pytest.raises(ValueError, match=f"{MOST_MEMBERS:,} members"):
        read_member(path, "w.ckpt", most_bytes=1000)


def test_streams_without_end_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(b"") * 1000 + gzip.compress(header("w.ckpt", 0)))
    assert read_member(path, "w.ckpt", most_bytes=1000) is None


def test_an_archive_above_the_limit_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.tar.gz", one=b"1")
    monkeypatch.setattr(source_archive, "MOST_BYTES", path.stat().st_size - 1)
    with pytest.raises(ValueError, match="it is larger than"):
        read_member(path, "one.ckpt", most_bytes=1000)


def negative() -> bytes:
    """A header of a member of -512 bytes, with its checksum."""
    block = bytearray(header("w.ckpt", 0))
    block[124:136] = (2**96 - 512).to_bytes(12, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


DAMAGED = {
    "no gzip": b"<html>log in</html>",
    "nothing": b"",
    "no tar": gzip.compress(b"x" * 600),
    "cut header": gzip.compress(header("a", 0)[:300]),
    "cut content": gzip.compress(header("vgg16.ckpt", 600) + b"x" * 500),
    "cut gzip": gzip.compress(header("a", 2000) + bytes(range(256)) * 8)[:200],
    "negative": gzip.compress(negative()),
    "wrong bits": gzip.compress(header("a", 512) + bytes(range(256)) * 2)[:60] + b"\xff" * 100,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_damaged_is_one_line_with_the_remedy(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b.tar.gz"
    path.write_bytes(content)
    with pytest.raises(BadFileError, match="fetch it again") as failure:
        read_archive(NETWORKS["vgg16"], path)
    assert str(failure.value).isprintable() and r"a\x1b.tar.gz" in str(failure.value)


def test_the_bound_of_a_network_is_that_of_its_arrays(tmp_path: Path) -> None:
    size = 9_878_784 + MIB + 1  # AlexNet's convolutions have 2,469,696 numbers of four bytes
    path = packed(tmp_path / "a.tar.gz", header("weights/alexnet.ckpt", size), bytes(size))
    with pytest.raises(BadFileError, match=f"{size:,} bytes, more than {size - 1:,}"):
        read_archive(NETWORKS["alexnet"], path)
