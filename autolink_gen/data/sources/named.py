"""A named data set, or a class or part of one."""

from dataclasses import dataclass
from pathlib import Path

from autolink_gen.data.published.places import folder_of_set, subfolder
from autolink_gen.data.published.sets import SETS, ImageSet, unknown_set
from autolink_gen.data.sources.base import check_split
from autolink_gen.data.sources.folder import SourceOfFiles


@dataclass(frozen=True)
class NamedSource(SourceOfFiles):
    """A set of `SETS`, as "afhq", or a class of it, as "afhq/cat"; `root` is where named sets lie, see `data_root`.

    Whatever is no set and no path that exists is one, too: it is refused, with the near names, when it is read.
    """

    text: str
    classes: tuple[str, ...] = ()
    root: Path | None = None

    @property
    def label(self) -> str:
        """The name, and that of the class."""
        return self.text.replace("/", "-")

    @property
    def trail(self) -> tuple[str, ...]:
        """The set's name."""
        return (self._name,)

    @property
    def lost(self) -> tuple[str, ...]:
        """The text, where it is an absolute path."""
        return (self.text,) if Path(self.text).is_absolute() else ()

    @property
    def entry(self) -> ImageSet:
        """What is known of the set; ValueError, which names near ones, where there is none of that name."""
        entry = SETS.get(self._name)
        if not isinstance(entry, ImageSet):
            raise ValueError(f"--data {unknown_set(self.text)}")
        return entry

    @property
    def _name(self) -> str:
        return self.text.partition("/")[0]

    def folder(self, split: str = "train") -> Path:
        """The folder of a split, or of a class in it; ValueError for a layout other than the set's, too."""
        check_split(split)
        folder = folder_of_set(self._name, self.entry, root=self.root, split=split)
        return subfolder(folder, self.text.partition("/")[2])
