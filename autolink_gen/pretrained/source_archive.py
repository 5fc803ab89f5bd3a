"""Read one member of a source archive (.tar.gz) in bounded memory and time.

Python's own reader of such archives takes as much memory as their headers ask for, and as long.
"""

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 128 * 2**20  # of an archive, packed and unpacked: twice the one that is read
MOST_MEMBERS = 10_000
_CHUNK = 1 << 18
_WITHOUT_DATA = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE)


def read_member(path: Path, ending: str, *, most_bytes: int) -> tuple[str, bytes] | None:
    """The name and the content of the first plain file whose name has this ending, or None.

    Raises ValueError, tarfile.TarError, zlib.error, EOFError or OSError for what is damaged, and for a member of
    more than `most_bytes`.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES:,} bytes")
    with path.open("rb") as file:
        stream = _GzipReader(file)
        for _ in range(MOST_MEMBERS):
            header = stream.read(tarfile.BLOCKSIZE)
            if not header.strip(b"\0"):
                return None
            member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
            if member.size < 0:
                raise ValueError("it has a member of less than no bytes")
            if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and member.name.endswith(ending):
                if member.size > most_bytes:
                    raise ValueError(f"its {ending} has {member.size:,} bytes, more than {most_bytes:,}")
                return member.name, stream.read(member.size, exact=True)
            if member.type not in _WITHOUT_DATA:
                stream.skip(-(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
    raise ValueError(f"it has more than {MOST_MEMBERS:,} members")


class _GzipReader:
    """The content of a gzip file, of one stream, up to MOST_BYTES."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._bytes_left = MOST_BYTES

    def read(self, size: int, *, exact: bool = False) -> bytes:
        """The next bytes; none at the end unless they are to come `whole`."""
        data = b"".join(self._chunks(size))
        if len(data) < size and (data or exact):
            raise EOFError("it ends too early")
        return data

    def skip(self, size: int) -> None:
        """Pass over the next bytes."""
        if sum(len(chunk) for chunk in self._chunks(size)) < size:
            raise EOFError("it ends too early")

    def _chunks(self, size: int) -> Iterator[bytes]:
        while size > 0 and (chunk := self._read_chunk(min(size, _CHUNK))):
            size -= len(chunk)
            yield chunk

    def _read_chunk(self, most: int) -> bytes:
        """At least one byte, or none at the end."""
        while not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(_CHUNK)
            chunk = self._inflate.decompress(packed, most)
            self._bytes_left -= len(chunk)
            if self._bytes_left < 0:
                raise ValueError(f"it unpacks to more than {MOST_BYTES:,} bytes")
            if chunk:
                return chunk
            if not packed:
                raise EOFError("it ends too early")
        return b""
