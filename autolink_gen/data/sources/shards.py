"""A source of shards: tar files, on disk or at an address."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.data.contents import FileGroup, NamedSize, size_of
from autolink_gen.data.identity import public_address
from autolink_gen.data.images import FIT, check_fit
from autolink_gen.data.listing import log_listing
from autolink_gen.data.shards.download import cached_path
from autolink_gen.data.shards.names import absolute_name, is_address, is_there, list_shards, shards_label
from autolink_gen.data.shards.reader import open_shards
from autolink_gen.data.sources.base import Source, check_split, folders_to, speaking_name
from autolink_gen.data.video.clips import Clip


@dataclass(frozen=True)
class ShardSource(Source):
    """Shards by a file's name, a pattern or an address; or, as `path`, a folder or file of the user's."""

    text: str
    classes: tuple[str, ...] = ()
    path: Path | None = None

    @property
    def label(self) -> str:
        """The name of the folder of shards, or what their names have in common."""
        if self.path is not None and self.path.is_dir():
            return speaking_name(self.path.resolve().parts)
        return speaking_name(("", *shards_label(public_address(self.text))))

    @property
    def full_name(self) -> str:
        """The path, or the pattern, from the root on; an address as it is."""
        return absolute_name(self.text)

    @property
    def trail(self) -> tuple[str, ...]:
        """The folders that lead to a folder of shards; of others the name as it may be shown."""
        if self.path is not None and self.path.is_dir():
            return folders_to(self.path)
        return (absolute_name(self.public_name),)

    @property
    def lost(self) -> tuple[str, ...]:
        """The text, where it is an absolute path of which nothing is there."""
        return (self.text,) if Path(self.text).is_absolute() and not is_there(self.text) else ()

    def images(self, split: str = "train", *, size: int, fit: FIT = "crop", seed: int = 0) -> Dataset[Tensor]:
        """All images of the shards, which have no splits; ValueError for classes, too."""
        check_fit(fit)
        check_split(split)
        images = open_shards(self._data, image_size=size, fit=fit, classes=self.classes)
        log_listing(images.listing)
        return images

    def clips(self, split: str = "train", *, size: int, seed: int = 0) -> list[Clip]:
        """ValueError: shards hold images."""
        self._refuse(split)

    def held_out(self, *, size: int, fit: FIT = "crop") -> Dataset[Tensor] | None:
        """None: nothing is held out of shards."""
        return None

    def holds_clips_out(self) -> bool:
        """ValueError: shards hold images."""
        self._refuse("train")

    def folder(self, split: str = "train") -> Path:
        """ValueError: what is in shards is in no folder."""
        self._refuse(split)

    def files(self) -> Iterator[FileGroup]:
        """The shards, in the order of their images."""
        yield FileGroup("shards", [_named_size(name) for name in list_shards(self._data)])

    @property
    def _data(self) -> str | Path:
        return self.path or self.text

    def _refuse(self, split: str) -> NoReturn:
        check_split(split)
        raise ValueError(
            f"--data {self.public_name} names shards, which hold images, not clips or landmarks; give a folder"
        )


def _named_size(shard: str) -> NamedSize:
    if not is_address(shard):
        return Path(shard).name, size_of(shard)
    return public_address(shard).partition("?")[0].rpartition("/")[2], size_of(cached_path(shard))
