"""The embedded puppets as a source."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.data.contents import FileGroup
from autolink_gen.data.images import FIT, check_fit
from autolink_gen.data.published.sets import PUPPETS, SETS
from autolink_gen.data.puppets.dataset import Puppets, Split
from autolink_gen.data.sources.base import Source, check_split
from autolink_gen.data.video.clips import Clip, PuppetClip

PUPPET_CLIPS: dict[Split, int] = {"train": 1000, "test": 50}


@dataclass(frozen=True)
class PuppetSource(Source):
    """Articulated figures that are drawn when they are asked for. Their fit split is the test split."""

    text: str = PUPPETS
    classes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name."""
        return self.text

    @property
    def trail(self) -> tuple[str, ...]:
        """The name."""
        return (self.text,)

    def images(self, split: str = "train", *, size: int, fit: FIT = "crop", seed: int = 0) -> Dataset[Tensor]:
        """Puppets on a background; ValueError for classes."""
        check_fit(fit)
        puppet_split = _split(split)
        if self.classes:
            raise ValueError(f"{self.text} has no classes; leave --classes out")
        return Puppets(image_size=size, seed=seed, split=puppet_split)

    def clips(self, split: str = "train", *, size: int, seed: int = 0) -> list[Clip]:
        """Puppets that move."""
        puppet_split = _split(split)
        return [
            PuppetClip(index, seed=seed, size=size, split=puppet_split) for index in range(PUPPET_CLIPS[puppet_split])
        ]

    def held_out(self, *, size: int, fit: FIT = "crop") -> Dataset[Tensor] | None:
        """The test split."""
        return self.images("test", size=size, fit=fit)

    def holds_clips_out(self) -> bool:
        """Always."""
        return True

    def folder(self, split: str = "train") -> Path:
        """ValueError: puppets are in no folder."""
        check_split(split)
        raise ValueError(f"{self.text!r} has no folder: {self.text} is {SETS[self.text].about}")

    def files(self) -> Iterator[FileGroup]:
        """The name, in the place of files."""
        yield FileGroup("sets", [(self.text, 0)])


def _split(split: str) -> Split:
    check_split(split)
    return "train" if split == "train" else "test"
