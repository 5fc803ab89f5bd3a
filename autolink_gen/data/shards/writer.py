"""Images packed into WebDataset shards: tar files of their bytes as they are."""

import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import chain, islice
from pathlib import Path

from autolink_gen.common.files import folder_beside, sync_file, sync_folder
from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.common.text import counted, printable, typed
from autolink_gen.common.tolerance import Tolerance
from autolink_gen.data.check import Unreadable
from autolink_gen.data.folders import check_folder, split_images
from autolink_gen.data.images import ImageError, decode_image, read_content
from autolink_gen.data.listing import image_listing, log_listing
from autolink_gen.data.shards.names import MAX_SHARDS
from autolink_gen.data.shards.packed_already import are_packed

_SHOWN = 10  # images that cannot be read and are listed
_MIN_SIDE_PX = 256  # as training decodes them: large JPEG are reduced, which is quick and takes little memory


@dataclass(frozen=True)
class PackedShards:
    """What `pack_pictures` wrote, or found: the shards in order, how much is in them, and the images left out."""

    files: tuple[Path, ...]
    num_images: int
    num_bytes: int
    unreadable: tuple[Unreadable, ...]
    were_there: bool = False

    @property
    def pattern(self) -> str:
        """The name that stands for all shards: pics.tar, or pics-{000000..000004}.tar."""
        first, last = self.files[0], self.files[-1]
        if first == last:
            return str(first)
        digits = first.stem[-6:], last.stem[-6:]
        return str(first.with_name(f"{first.stem[:-6]}{{{digits[0]}..{digits[1]}}}.tar"))

    def lines(self, *, folder: Path) -> list[str]:
        """What was packed of `folder`, in words."""
        shards = "" if len(self.files) == 1 else f"{len(self.files)} shards, "
        size = f"{self.num_bytes / 2**20:.1f} MiB"
        verb = "kept" if self.were_there else "wrote"
        lines = [f"{verb} {counted(self.num_images, 'image')} ({size}) in {shards}{self.pattern}"]
        if self.unreadable:
            lines.append(f"left out {counted(len(self.unreadable), 'image')} that cannot be read:")
            lines += [f"  {bad.path}: {bad.reason}" for bad in self.unreadable[:_SHOWN]]
            if len(self.unreadable) > _SHOWN:
                lines.append(
                    f"  ... and {len(self.unreadable) - _SHOWN} more (autolink-gen data check {typed(folder)})"
                )
        return [*lines, f"next: autolink-gen learn-graph --data {typed(self.pattern)}"]


def pack_pictures(
    folder: str | Path,
    target: Path,
    *,
    per_shard: int | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> PackedShards:
    """Write the images below a folder, in the order of their paths, into the tar `target`, or into several.

    With `per_shard` so many images go into each of target-000000.tar, target-000001.tar and so on. The bytes of an
    image are kept; one that cannot be read is left out. The same images at the same places give the same bytes.
    The shards take their names when all are whole. Where all of them are there already, with these images, they stay.

    Raises:
        ValueError: the folder is missing or holds no image; the target is no name for a shard, lies in the folder,
            or is there with other images (and not to be overwritten); more than 5 % of the images (and more than
            one) are unreadable.
        OSError: the shards cannot be written.
    """
    folder = check_folder(folder)
    _check_target(target, folder)
    old = _old_shards(target, per_shard)
    paths, others = split_images(folder)
    _check_number(len(paths), per_shard)
    packing = _Packing(folder, paths)
    if old and not overwrite:
        return _check_packed(packing, old, per_shard)
    log_listing(image_listing(folder, len(paths), others))
    try:
        with folder_beside(target) as unfinished:
            images = packing.readable(progress(paths, len(paths), "packing"))
            written = _write(images, unfinished, target, per_shard)
            files = tuple(path.replace(target.parent / path.name) for path in written)
        for path in set(old) - set(files):
            path.unlink()
        sync_folder(target.parent)
    except OSError as error:
        raise OSError(f"could not write {target}: {error}; free some space or choose another OUT") from error
    return _report(packing, files)


def _report(packing: "_Packing", files: tuple[Path, ...], *, were_there: bool = False) -> PackedShards:
    num_bytes = sum(path.stat().st_size for path in files)
    num_images = packing.count - len(packing.unreadable)
    return PackedShards(files, num_images, num_bytes, tuple(packing.unreadable), were_there)


def _check_packed(packing: "_Packing", shards: list[Path], per_shard: int | None) -> PackedShards:
    """The report of an earlier call with the same images; ValueError where the shards differ."""
    used: set[str] = set()
    names = [(_name(path.relative_to(packing.folder), used), path) for path in packing.paths]
    if not are_packed(names, shards, per_shard=per_shard, is_bad=lambda path: packing.content(path) is None):
        raise ValueError(
            f"{shards[0]} is there already, with other images or in other shards; give --overwrite to replace it, or "
            "another OUT"
        )
    return _report(packing, tuple(shards), were_there=True)


def _check_target(target: Path, folder: Path) -> None:
    if target.suffix != ".tar" or re.search(r"[{}*?\[\]%]", target.name):
        raise ValueError(
            f"{target} is no name for shards: give one that ends in .tar, such as pics.tar, without braces; with "
            f"--per-shard N the shards are pics-000000.tar and so on"
        )
    if target.is_dir():
        raise ValueError(f"{target} is a folder; give the name of a file, such as {target.parent / 'pics.tar'}")
    in_the_way = next((path for path in target.parents if path.is_file()), None)
    if in_the_way:
        raise ValueError(f"{in_the_way} is a file, so that {target} cannot lie in it; choose another OUT")
    if target.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{target} lies in {folder}, whose images are packed; choose an OUT outside of it")


def _check_number(num_images: int, per_shard: int | None) -> None:
    if per_shard is not None and per_shard < 1:
        raise ValueError(f"--per-shard is {per_shard}; give 1 or more images for each shard")
    if per_shard is not None and num_images > per_shard * MAX_SHARDS:
        raise ValueError(f"--per-shard {per_shard} makes more than {MAX_SHARDS:,} shards; give a larger number")


def _old_shards(target: Path, per_shard: int | None) -> list[Path]:
    """Existing files under the names to be written, or under further names of the series."""
    if per_shard is None:
        return [target] if target.exists() else []
    numbered = re.compile(re.escape(target.stem) + r"-\d{6}\.tar")
    beside = target.parent.iterdir() if target.parent.is_dir() else ()
    return sorted(path for path in beside if numbered.fullmatch(path.name))


class _Packing:
    """Goes through images and notes those that cannot be read."""

    def __init__(self, folder: Path, paths: Sequence[Path]) -> None:
        self.folder, self.paths, self.count = folder, paths, len(paths)
        self.unreadable: list[Unreadable] = []
        remedy = f"`autolink-gen data check {typed(folder)}` lists them with the reasons: remove or replace them"
        self._tolerance = Tolerance(self.count, what=f"images in {folder}", remedy=remedy)

    def readable(self, paths: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
        """The names and bytes of readable images."""
        used: set[str] = set()
        for path in paths:
            content = self.content(path)
            if content is not None:
                yield _name(path.relative_to(self.folder), used), content
        if len(self.unreadable) == self.count:
            raise ValueError(f"none of the images in {self.folder} can be read; give others")

    def content(self, path: Path) -> bytes | None:
        """The bytes of an image; None, and it is noted, where it cannot be read."""
        try:
            content = read_content(path)
            decode_image(content, str(path), remedy="remove or replace it", min_side=_MIN_SIDE_PX)
        except ImageError as error:
            self._count_bad(Unreadable(path, error.reason))
        except OSError as error:
            self._count_bad(Unreadable(path, error.strerror or str(error)))
        else:
            return content
        return None

    def _count_bad(self, file: Unreadable) -> None:
        self.unreadable.append(file)
        self._tolerance.add(printable(str(file.path)))


def _name(path: Path, used: set[str]) -> str:
    """An image's name in a shard: a key of its own, which has no dot in its last part, and the ending."""
    stem = path.stem.replace(".", "_")
    key, number = (path.parent / stem).as_posix(), 1
    while key in used:  # a.jpg and a.png would be two images of one sample
        number += 1
        key = (path.parent / f"{stem}_{number}").as_posix()
    used.add(key)
    return key + path.suffix.lower()


def _write(images: Iterable[tuple[str, bytes]], folder: Path, target: Path, per_shard: int | None) -> list[Path]:
    """Fill the shards in `folder`, under the names that they are to have; each is on disk then."""
    written: list[Path] = []
    rest = iter(images)
    for first in rest:
        number = "" if per_shard is None else f"-{len(written):06d}"
        path = folder / f"{target.stem}{number}.tar"
        _write_tar(path, chain([first], rest if per_shard is None else islice(rest, per_shard - 1)))
        sync_file(path)
        written.append(path)
    return written


def _write_tar(path: Path, images: Iterable[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in images:
            info = tarfile.TarInfo(name)  # owner and time are left at nothing, for the same bytes every time
            info.size = len(content)
            tar.addfile(info, BytesIO(content))
