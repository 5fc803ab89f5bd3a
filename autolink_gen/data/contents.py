"""What is found of the data of a run: how many files, and a digest of their names and sizes, wherever they lie."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autolink_gen.data.folders import IMAGE_SUFFIXES, walk_files
from autolink_gen.data.identity import public_address
from autolink_gen.data.published.sets import SETS, Embedded
from autolink_gen.data.shards.download import cached_path
from autolink_gen.data.shards.names import is_address, list_shards
from autolink_gen.data.source import find_pictures, has_shards, own_path, parts_of
from autolink_gen.data.video.reader import VIDEO_SUFFIXES

_SUFFIXES = tuple({*IMAGE_SUFFIXES, *VIDEO_SUFFIXES})
Named = tuple[str, int]  # a file's name below its folder, and its size in bytes, -1 where it cannot be asked


@dataclass(frozen=True)
class Contents:
    """How many files of which kind were found, as 200 "pictures", and a digest of their names and sizes."""

    count: int
    kind: str
    digest: str

    def __str__(self) -> str:
        return f"{self.count:,} {self.kind.removesuffix('s') if self.count == 1 else self.kind}"


def contents_of(data: str | Path, *, root: Path | None = None, classes: Sequence[str] = ()) -> Contents:
    """What training on these data finds, by names and sizes alone: no file is read.

    Equal contents are the same pictures in the same order. Raises ValueError where there is no such set or folder, as
    opening it does.
    """
    digest, count, kinds = hashlib.sha256(), 0, set[str]()
    for part in parts_of(data):
        for kind, found in _found(part, root=root, classes=classes):
            count += len(found)
            kinds |= {kind} if kind else {_kind(name) for name, _ in found}
            for name, size in found:
                digest.update(f"{name}\0{size}\0".encode(errors="surrogateescape"))
            digest.update(b"\0")  # one after the other is not both in one
    return Contents(count, kinds.pop() if len(kinds) == 1 else "files", digest.hexdigest()[:32])


def _found(part: str | Path, *, root: Path | None, classes: Sequence[str]) -> Iterator[tuple[str, list[Named]]]:
    """The files of each folder, or of all shards, that one data set consists of, and of what kind where one knows."""
    if has_shards(part):  # whose order is that of the pictures
        yield "shards", [_shard(name) for name in list_shards(own_path(part) or part)]
    elif isinstance(SETS.get(str(part)), Embedded):
        yield "sets", [(str(part), 0)]
    else:
        folder = find_pictures(part, root=root, split="train")
        for one in [folder / name for name in classes] or [folder]:
            yield "", sorted(_files(one))


def _files(folder: Path) -> Iterator[Named]:
    start = len(os.path.join(folder, ""))  # noqa: PTH118
    for path in map(str, walk_files(folder)):  # text from here on: of 200,000 paths each step tells
        if path.lower().endswith(_SUFFIXES):
            yield path[start:].replace(os.sep, "/"), _size(path)


def _shard(name: str) -> Named:
    file = cached_path(name) if is_address(name) else Path(name)
    return public_address(name).partition("?")[0].rpartition("/")[2] if is_address(name) else file.name, _size(file)


def _size(path: str | Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return -1


def _kind(name: str) -> str:
    return "pictures" if name.lower().endswith(IMAGE_SUFFIXES) else "videos"
