"""The base of sources: images, clips and identity of what `--data` names."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.data.contents import Contents, FileGroup, contents_of
from autolink_gen.data.identity import public_data
from autolink_gen.data.images import FIT
from autolink_gen.data.video.clips import Clip

SPLITS = ("train", "test", "fit")
_GENERIC = ("train", "test", "val", "images", "img")  # names of folders that say nothing of what is in them


class Source(ABC):
    """What `--data` names, opened once by `open_source`. Nothing is read before it is asked for.

    `text` is what was typed. `classes` are the class folders to take; none: all of them. `label` names runs and
    outputs. `full_name` names the same data wherever a later command is typed.

    Every method raises ValueError where there is no such set or folder, and where it holds nothing of that kind.
    """

    text: str
    classes: tuple[str, ...]

    @property
    def parts(self) -> "tuple[Source, ...]":
        """The sources that "A+B" joins; of any other source, itself alone."""
        return (self,)

    @property
    def public_name(self) -> str:
        """The full name, without what opens an address."""
        return public_data(self.full_name)

    @property
    @abstractmethod
    def label(self) -> str:
        """The name of runs on these data."""

    @property
    def full_name(self) -> str:
        """The text, its paths made absolute."""
        return self.text

    @property
    @abstractmethod
    def trail(self) -> tuple[str, ...]:
        """The folders that lead to the images, or the name of the set, without split or class."""

    @property
    def lost(self) -> tuple[str, ...]:
        """The absolute paths in the text that are not there any more."""
        return ()

    @abstractmethod
    def images(self, split: str = "train", *, size: int, fit: FIT = "crop", seed: int = 0) -> Dataset[Tensor]:
        """The images of a split, uint8 (3, `size`, `size`), RGB; of videos alone, frames drawn at random.

        `seed` matters only to what is drawn, `fit` only to files. What was found is logged, and what is left out.
        """

    @abstractmethod
    def clips(self, split: str = "train", *, size: int, seed: int = 0) -> list[Clip]:
        """The clips of a split: videos, folders of frames, or puppets, for which alone `size` and `seed` matter."""

    @abstractmethod
    def held_out(self, *, size: int, fit: FIT = "crop") -> Dataset[Tensor] | None:
        """The images that training does not see; None where there is no such part."""

    @abstractmethod
    def holds_clips_out(self) -> bool:
        """Whether there are clips that training does not see."""

    @abstractmethod
    def folder(self, split: str = "train") -> Path:
        """The folder of a split; ValueError for a source without one."""

    def landmarks(self, split: str = "test") -> Path | None:
        """The table of a split's landmarks; None where there is none."""
        return None

    @abstractmethod
    def files(self) -> Iterator[FileGroup]:
        """The names and sizes of the training files, folder by folder, in the order in which they are read."""

    def contents(self) -> Contents:
        """The training files by names and sizes; equal contents are the same images in the same order."""
        return contents_of(self.files())

    def covers(self, other: "Source") -> bool:
        """Whether these data are those of `other`, or more: what was trained on them has seen the others."""
        trails = [part.trail for part in self.parts]
        return all(any(_same_end(part.trail, trail) for trail in trails) for part in other.parts)


def check_split(split: str) -> None:
    """ValueError unless there is a split of that name."""
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}")


def speaking_name(parts: tuple[str, ...]) -> str:
    """The last part of a path, or the last two where the last says nothing, as "birds-train"."""
    return "-".join(parts[-2:]) if parts[-1] in _GENERIC and len(parts) > 2 else parts[-1]


def folders_to(folder: Path) -> tuple[str, ...]:
    """The folders from the root on, but not one called train."""
    parts = folder.resolve().parts
    return parts[:-1] if parts[-1] == "train" else parts


def _same_end(trail: tuple[str, ...], other_trail: tuple[str, ...]) -> bool:
    """Whether the longer ends as the shorter: a folder may be that of a named set."""
    shorter = min(len(trail), len(other_trail))
    return trail[-shorter:] == other_trail[-shorter:]
