"""Which files of a prepared part were written by `data prepare`: no other file there is ever removed or replaced."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from autolink_gen.common.files import write_text_atomically
from autolink_gen.common.text import shown
from autolink_gen.data.inner_names import lies_inside

_SHOWN = 3
_LONGEST_LINE = 4096


class PartFiles:
    """The pictures below a part's folder, and beside it the manifest of those that were written here, a name a line.

    `listed` are the names, relative to the folder, of all pictures that the set's lists give to this part.
    """

    def __init__(self, folder: Path, listed: Iterable[str]) -> None:
        self.folder = folder
        self.listed = frozenset(listed)
        self.manifest = folder.with_name(f"written_{folder.name}.txt")

    def check(self) -> None:
        """ValueError where the folder holds what neither was written here nor is listed, or leads elsewhere."""
        self._check_links()
        own = self._own()
        self._refuse([name for name in _files_below(self.folder) if name not in own and name not in self.listed])

    def note(self) -> None:
        """Write down what is about to be written: the listed files that are not there yet."""
        new = {name for name in self.listed if not os.path.lexists(self.folder / name)}
        self._write_manifest(self._own() | new)

    def remove_others(self, kept: set[str]) -> int:
        """Remove what was written here and is not `kept`, as for other lists; ValueError for what others left here."""
        own = self._own()
        others = [name for name in _files_below(self.folder) if name not in kept]
        removed = [name for name in others if name in own]
        for name in removed:
            (self.folder / name).unlink()
        self._write_manifest(own.difference(removed))
        self._refuse([name for name in others if name not in own and name not in self.listed])
        return len(removed)

    def remove_all(self) -> None:
        """Remove all that was written here; ValueError, and all stays, where the folder holds anything else."""
        self._check_links()
        own = self._own()
        self._refuse([name for name in _files_below(self.folder) if name not in own])
        self.remove_others(set())

    def _own(self) -> set[str]:
        """What the manifest names and is there, as a plain file."""
        if not self.manifest.is_file():
            return set()
        there = set(_files_below(self.folder))
        with self.manifest.open("rb") as file:
            lines = iter(lambda: file.readline(_LONGEST_LINE), b"")
            named = {name for line in lines if (name := os.fsdecode(line.rstrip(b"\r\n"))) in there}
        return {name for name in named if _is_plain(self.folder / name)}

    def _write_manifest(self, names: set[str]) -> None:
        text = "".join(f"{name}\n" for name in sorted(names))
        remedy = "free some space and repeat the command"
        write_text_atomically(self.manifest, text, remedy=remedy, follow_links=False)

    def _check_links(self) -> None:
        """ValueError where something would be written elsewhere, or in the place of what is no file."""
        if self.folder.is_symlink():
            raise ValueError(f"{self.folder} is a link; move it away, nothing is written through it")
        for parent in {(self.folder / name).parent for name in self.listed}:
            if not lies_inside(parent, self.folder):
                raise ValueError(f"{parent} leads out of {self.folder}; move it away, nothing is written through it")
        self._refuse(
            [name for name in self.listed if os.path.lexists(path := self.folder / name) and not path.is_file()]
        )

    def _refuse(self, names: Sequence[str]) -> None:
        """ValueError that names files that are none of ours, where there are some."""
        if not names:
            return
        listed = ", ".join(shown(str(self.folder / name)) for name in sorted(names)[:_SHOWN])
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise ValueError(
            f"{listed}{more} {'was' if len(names) == 1 else 'were'} not written by data prepare; move "
            f"{'it' if len(names) == 1 else 'them'} away, or the training would see "
            f"{'it' if len(names) == 1 else 'them'}"
        )


def _files_below(folder: Path) -> Iterator[str]:
    """What lies below a folder, hidden files left out; a link to a folder is one file, and is not followed."""
    for parent, folders, files in os.walk(folder):
        above = Path(parent).relative_to(folder)
        links = [name for name in folders if Path(parent, name).is_symlink()]
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from ((above / name).as_posix() for name in (*links, *files) if not name.startswith("."))


def _is_plain(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)
