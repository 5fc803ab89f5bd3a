"""Several sources as one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.data.contents import FileGroup
from autolink_gen.data.images import FIT
from autolink_gen.data.mixture import Mixture
from autolink_gen.data.sources.base import Source
from autolink_gen.data.video.clips import Clip


@dataclass(frozen=True)
class MixtureSource(Source):
    """The sources of "A+B", as many images of each."""

    text: str
    sources: tuple[Source, ...]
    classes: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Source, ...]:
        """The sources."""
        return self.sources

    @property
    def label(self) -> str:
        """The names of all, with a plus between them."""
        return "+".join(source.label for source in self.sources)

    @property
    def full_name(self) -> str:
        """The full names of all, with a plus between them."""
        return "+".join(source.full_name for source in self.sources)

    @property
    def trail(self) -> tuple[str, ...]:
        """The label: several sources have no way in common."""
        return (self.label,)

    @property
    def lost(self) -> tuple[str, ...]:
        """The lost paths of all."""
        return tuple(path for source in self.sources for path in source.lost)

    def images(self, split: str = "train", *, size: int, fit: FIT = "crop", seed: int = 0) -> Dataset[Tensor]:
        """The images of all by turns."""
        return Mixture([source.images(split, size=size, fit=fit, seed=seed) for source in self.sources])

    def clips(self, split: str = "train", *, size: int, seed: int = 0) -> list[Clip]:
        """The clips of the first, then of the next."""
        return [clip for source in self.sources for clip in source.clips(split, size=size, seed=seed)]

    def held_out(self, *, size: int, fit: FIT = "crop") -> Dataset[Tensor] | None:
        """The images that all hold out; None where one holds none out."""
        several = [source.held_out(size=size, fit=fit) for source in self.sources]
        return Mixture([images for images in several if images is not None]) if None not in several else None

    def holds_clips_out(self) -> bool:
        """Whether one of them does."""
        return any(source.holds_clips_out() for source in self.sources)

    def folder(self, split: str = "train") -> Path:
        """ValueError: they are in several folders."""
        names = ", ".join(source.public_name for source in self.sources)
        raise ValueError(f"--data {self.public_name} names several sources, and this takes one; give one of {names}")

    def files(self) -> Iterator[FileGroup]:
        """The files of the first, then of the next."""
        for source in self.sources:
            yield from source.files()
