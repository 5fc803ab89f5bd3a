"""Images in WebDataset shards: tar files, of which any image can be read by its number."""

import logging
import tarfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from PIL import Image

from autolink_gen.common.files import BadFileError, reading, reason_of
from autolink_gen.common.limits import max_pixels
from autolink_gen.common.progress import progress_bar
from autolink_gen.common.text import printable, shown
from autolink_gen.common.tolerance import MAX_BAD_SHARE
from autolink_gen.data.decoding.decoder import TooManyPixelsError, check_file_size
from autolink_gen.data.folders import IMAGE_SUFFIXES, kinds_of
from autolink_gen.data.identity import public_address
from autolink_gen.data.image_folder import CachedImages
from autolink_gen.data.images import CACHE_BYTES, FIT, decode_image, image_error
from autolink_gen.data.listing import is_left_out, shard_listing
from autolink_gen.data.shards.download import fetch
from autolink_gen.data.shards.names import is_address, list_shards

logger = logging.getLogger(__name__)

_MAX_MEMBERS = 1_000_000  # of a tar
_MAX_NAME = 4096  # characters
_MAX_HEADER_BYTES = 2**16
_READS_A_MEMBER = 10_000
_REMEDY = "pack the shard anew without it"
_REPLACE = "copy or fetch it again, or pack it anew"
_COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}


class Member(NamedTuple):
    """A file in a tar: its name, the place of its first byte, how many bytes it has."""

    name: str
    offset: int
    size: int


class ShardImages(CachedImages):
    """The images of WebDataset shards, in the order of the shards and of their members.

    `data` names the shards, see `list_shards`; those at an address are fetched once into the cache, and are called in
    `shards` and in messages without what signs it. A sample is the
    members whose names are the same up to the first dot of their last part, and its image the first of them that
    is one by its ending. A shard that is cut gives what is whole in it, with a warning
    that names the last whole member.

    Differs: WebDataset reads shards as streams; here an index of all members is made at first, so that the order
    of images is a function of (seed, step) as for any other data, and resumes exactly.

    Raises:
        ValueError: a shard is missing, is no tar file, or is compressed; there is no image in any; and as
            `CachedImages` does.
    """

    def __init__(
        self,
        data: str | Path,
        *,
        image_size: int,
        fit: FIT = "crop",
        cache_bytes: int = CACHE_BYTES,
        max_bad_share: float = MAX_BAD_SHARE,
    ) -> None:
        self.data = public_address(str(data))
        names = list_shards(data)
        self.shards = [public_address(name) for name in names]
        self.files = [_local(name) for name in names]
        self._left_out: list[Path] = []
        images = list(self._index())
        self.listing = shard_listing(self.data, len(images), self._left_out)
        self.member_names = [member.name for _, member in images]
        # An array: of a list of millions of numbers, forked workers would copy every page that they look at.
        places = [(number, member.offset, member.size) for number, member in images]
        self._places = np.array(places, np.int64).reshape(-1, 3)
        super().__init__(
            len(images), image_size=image_size, fit=fit, cache_bytes=cache_bytes, max_bad_share=max_bad_share
        )

    def _index(self) -> Iterator[tuple[int, Member]]:
        """The images of all shards, each with its shard's number."""
        num_images, num_passed, others = 0, 0, list[Path]()
        shards = list(zip(self.files, self.shards, strict=True))
        for number, (file, name) in enumerate(progress_bar(shards, len(shards), "shards")):
            members = read_members(file, name=name)
            images, passed = first_images(members)
            num_images, num_passed = num_images + len(images), num_passed + passed
            self._left_out += filter(is_left_out, (Path(member.name) for member in members))
            others += [] if num_images else [Path(member.name) for member in members]
            yield from ((number, image) for image in images)
        if not num_images:
            raise ValueError(
                f"no images in {self.data}: looked for {', '.join(IMAGE_SUFFIXES)} in {len(self.shards)} shard(s) "
                f"and found {kinds_of(others)}; give other shards"
            )
        if num_passed:
            logger.warning(
                "%s: %d images are passed over, for the names of others before them are the same up to the first dot",
                self.data,
                num_passed,
            )

    def _decode(self, index: int) -> Image.Image:
        number, offset, size = self._places[index].tolist()
        try:
            # Opened for each image: a handle that forked workers share would have one position for all of them.
            with self.files[number].open("rb") as file:
                file.seek(offset)
                check_file_size(size, max_pixels=max_pixels())
                content = file.read(size)
        except (OSError, TooManyPixelsError) as error:
            remedy = _REMEDY if isinstance(error, TooManyPixelsError) else "see that the shard is still there"
            raise image_error(self.name_of(index), reason_of(error), remedy=remedy) from error
        return decode_image(content, self.name_of(index), remedy=_REMEDY, min_side=self.image_size)

    def name_of(self, index: int) -> str:
        """The member and its shard."""
        return printable(f"{self.member_names[index]} in {self.shards[int(self._places[index, 0])]}")

    def _where_and_remedy(self) -> tuple[str, str]:
        return self.data, "pack the shards anew: `autolink-gen data pack` leaves such images out"


def open_shards(data: str | Path, *, image_size: int, fit: FIT = "crop", classes: Sequence[str] = ()) -> ShardImages:
    """The images of shards as a data set; ValueError where there are `classes`, and as `ShardImages` does."""
    if classes:
        raise ValueError(f"--data {public_address(str(data))} names shards, which have no classes; leave --classes out")
    return ShardImages(data, image_size=image_size, fit=fit)


def _local(shard: str) -> Path:
    """The file that holds a shard, fetched where it is at an address."""
    return fetch(shard, check=partial(_check_first, name=public_address(shard))) if is_address(shard) else Path(shard)


def _check_first(file: Path, *, name: str) -> None:
    """ValueError unless the file begins as a tar file."""
    with file.open("rb") as handle, _open_tar(handle, name):
        pass


def first_images(members: Sequence[Member]) -> tuple[list[Member], int]:
    """The first image of each sample, and how many further images there are."""
    first: dict[str, Member] = {}
    images = [member for member in members if member.name.lower().endswith(IMAGE_SUFFIXES)]
    for image in images:
        first.setdefault(_key(image.name), image)
    return list(first.values()), len(images) - len(first)


def _key(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def read_members(file: Path, *, name: str) -> list[Member]:
    """The files in a tar that are whole, but for hidden ones; a warning where the tar is cut.

    Raises:
        ValueError: no such file, no tar file, a compressed one, or one that is cut and has nothing whole in it.
    """
    members: list[Member] = []
    if file.exists() and not file.is_file():  # a pipe would be waited for
        raise BadFileError(f"the shard {printable(name)} is no ordinary file; give another")
    size = file.stat().st_size
    with file.open("rb") as handle, _open_tar(handle, name) as tar:
        reason = _walk(tar, size, members)
        if not reason and not _is_ended(handle, tar.offset):
            reason = "it does not end as a tar file does"
    if reason and not members:
        raise BadFileError(f"nothing in the shard {printable(name)} can be read: {reason}; {_REPLACE}")
    if reason:
        logger.warning(
            "the shard %s is cut or damaged after %s (%s): its first %d files are used; %s",
            printable(name),
            shown(members[-1].name),
            reason,
            len(members),
            _REPLACE,
        )
    return [member for member in members if not _is_hidden(member.name)]


def _walk(tar: tarfile.TarFile, size: int, members: list[Member]) -> str:
    """Collect what is whole in a tar of `size` bytes; what ended it before its time, or nothing."""
    place = -1
    try:
        with reading("", "tar file", remedy=""):
            while (info := _next_of(tar)) is not None:
                if info.offset <= place:
                    return "it goes back to where it was"
                place = info.offset
                if info.size < 0 or info.offset_data + info.size > size:
                    return f"{shown(info.name)} goes beyond its end"
                if len(info.name) > _MAX_NAME or len(members) >= _MAX_MEMBERS:
                    return f"it has more than {_MAX_MEMBERS:,} files, or names of more than {_MAX_NAME:,} characters"
                if info.isreg() and not info.issparse():
                    members.append(Member(info.name, info.offset_data, info.size))
    except BadFileError as error:
        return reason_of(error.__cause__ or error)
    return ""


def _next_of(tar: Any) -> tarfile.TarInfo | None:
    """The next member; ValueError where headers grow without end."""
    tar.fileobj.reads_left = _READS_A_MEMBER
    info: tarfile.TarInfo | None = tar.next()
    tar.members = []  # else it keeps all of them
    if len(tar.pax_headers) > _READS_A_MEMBER:
        raise ValueError("its headers have no end")
    return info


class _BoundedTar:
    """A file of which headers alone are read, each of bounded size: tarfile reads any length that one states."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self.reads_left = _READS_A_MEMBER
        self.seek, self.tell, self.close = handle.seek, handle.tell, handle.close

    def read(self, size: int = -1) -> bytes:
        """The next bytes; ValueError where a header asks for too many."""
        self.reads_left -= 1
        if not 0 <= size <= _MAX_HEADER_BYTES or self.reads_left < 0:
            raise ValueError("a header in it is too long")
        return self._handle.read(size)


def _is_ended(handle: BinaryIO, place: int) -> bool:
    """Whether an empty block is where the last header was looked for: tarfile is silent about damaged ones."""
    handle.seek(place)
    block = handle.read(tarfile.BLOCKSIZE)
    return len(block) == tarfile.BLOCKSIZE and not any(block)


def _is_hidden(name: str) -> bool:
    return any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in name.split("/"))


def _open_tar(handle: BinaryIO, name: str) -> tarfile.TarFile:
    name = printable(name)
    head = handle.read(6)
    handle.seek(0)
    for magic, command in _COMPRESSED.items():
        if head.startswith(magic):
            raise BadFileError(
                f"the shard {name} is compressed, so that no image could be read without those before it; unpack "
                f"it first: {command} < FILE > PLAIN.tar"
            )
    if not head:
        raise BadFileError(f"the shard {name} is empty (0 bytes); replace it")
    try:
        with reading(name, "tar file", remedy=""):
            return tarfile.open(fileobj=cast(BinaryIO, _BoundedTar(handle)), mode="r:")
    except BadFileError as error:
        reason = reason_of(error.__cause__ or error)
        raise BadFileError(f"{name} is no tar file, whatever its name says ({reason}); give another") from error
