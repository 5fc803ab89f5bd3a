"""Checksums beside cached files, that show whether a file is still what was fetched."""

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from autolink_gen.common.digests import file_sha256
from autolink_gen.common.files import BadFileError, reading, write_text_atomically

_SUFFIX = ".sum"
_MOST_BYTES = 1000  # of what is written beside a file
_CLOCK_S = 3  # within which a file may change twice and bear the same time


@dataclass(frozen=True)
class _Record:
    """A file's length, its SHA-256, and when it had last changed as it was summed, both in ns since 1970."""

    num_bytes: int
    sha256: str
    changed_ns: int
    summed_ns: int

    def __post_init__(self) -> None:
        if not isinstance(self.sha256, str) or not all(
            type(value) is int for name, value in vars(self).items() if name != "sha256"
        ):
            raise ValueError("its values are of other kinds")


def damage_of(path: Path) -> str:
    """The damage of a cached file in words; empty where it is what was fetched.

    All of it is read only where the clock says that it may have changed since it last was. What an earlier version
    fetched has no record yet, and gets one.
    """
    record, now = _read(path), path.stat()
    if record is None:
        _note_again(path)
        return ""
    if now.st_size != record.num_bytes:
        return f"{now.st_size:,} bytes in the place of {record.num_bytes:,}"
    if now.st_mtime_ns == record.changed_ns and record.summed_ns - record.changed_ns > _CLOCK_S * 10**9:
        return ""
    if file_sha256(path) != record.sha256:
        return "its sum is another than when it was fetched"
    _note_again(path)
    return ""


def _note_again(path: Path) -> None:
    with suppress(OSError):  # a cache that others filled and that cannot be written serves all the same
        note_sum(path, remedy="")


def note_sum(path: Path, *, remedy: str) -> None:
    """Write down beside a file what it is; OSError, which ends with `remedy`, where that cannot be written."""
    summed_ns, before = time.time_ns(), path.stat()
    record = _Record(before.st_size, file_sha256(path), before.st_mtime_ns, summed_ns)
    write_text_atomically(_beside(path), json.dumps(asdict(record)) + "\n", remedy=remedy, follow_links=False)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + _SUFFIX)


def _read(path: Path) -> _Record | None:
    file = _beside(path)
    try:
        with reading(file, "record of a cached file", remedy=""), file.open("rb") as handle:
            return _Record(**json.loads(handle.read(_MOST_BYTES)))
    except BadFileError:
        return None
