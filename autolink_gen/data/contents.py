"""The contents of a run's data: the number of files, and a digest of names and sizes."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from autolink_gen.data.folders import IMAGE_SUFFIXES, walk_files
from autolink_gen.data.video.reader import VIDEO_SUFFIXES

_SUFFIXES = tuple({*IMAGE_SUFFIXES, *VIDEO_SUFFIXES})
NamedSize = tuple[str, int]  # a file's name below its folder, and its size in bytes, -1 where it is not known


@dataclass(frozen=True)
class Contents:
    """The number and kind of files, as 200 "pictures", and a digest of names and sizes."""

    count: int
    kind: str
    digest: str

    def __str__(self) -> str:
        return f"{self.count:,} {self.kind.removesuffix('s') if self.count == 1 else self.kind}"


@dataclass(frozen=True)
class FileGroup:
    """The files of one folder, or all shards, in order; `kind` is "" where their names tell what they are."""

    kind: str
    files: list[NamedSize]


def contents_of(groups: Iterable[FileGroup]) -> Contents:
    """The number, kind and digest of files, which are not read."""
    digest, count, kinds = hashlib.sha256(), 0, set[str]()
    for group in groups:
        count += len(group.files)
        kinds |= {group.kind} if group.kind else {_kind(name) for name, _ in group.files}
        for name, size in group.files:
            digest.update(f"{name}\0{size}\0".encode(errors="surrogateescape"))
        digest.update(b"\0")  # one after the other is not both in one
    return Contents(count, kinds.pop() if len(kinds) == 1 else "files", digest.hexdigest()[:32])


def media_files(folder: Path) -> FileGroup:
    """The images and videos below a folder, by their names."""
    return FileGroup("", sorted(_media(folder)))


def _media(folder: Path) -> Iterator[NamedSize]:
    start = len(os.path.join(folder, ""))  # noqa: PTH118
    for path in map(str, walk_files(folder)):  # text from here on: of 200,000 paths each step tells
        if path.lower().endswith(_SUFFIXES):
            yield path[start:].replace(os.sep, "/"), size_of(path)


def size_of(path: str | Path) -> int:
    """A file's size in bytes; -1 where it cannot be asked."""
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return -1


def _kind(name: str) -> str:
    return "pictures" if name.lower().endswith(IMAGE_SUFFIXES) else "videos"
