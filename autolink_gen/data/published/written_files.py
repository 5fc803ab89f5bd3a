"""A manifest of the files that `data prepare` wrote; no other file is ever removed or replaced."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from autolink_gen.common.files import write_text_atomically
from autolink_gen.common.text import shown
from autolink_gen.data.inner_names import lies_inside

_SHOWN = 3
_LONGEST_LINE = 4096


class SplitFiles:
    """The images of a split's folder, with a manifest beside it of those written here, one name a line.

    `listed` are the names, relative to the folder, of all images that the set's lists give to this split.
    """

    def __init__(self, folder: Path, listed: Iterable[str]) -> None:
        self.folder = folder
        self.listed = frozenset(listed)
        self.manifest = folder.with_name(f"written_{folder.name}.txt")

    def check(self) -> None:
        """ValueError where the folder holds files neither written here nor listed, or leads elsewhere."""
        self._check_links()
        written = self._written_names()
        self._refuse([name for name in _files_below(self.folder) if name not in written and name not in self.listed])

    def note(self) -> None:
        """Add the listed files that are missing to the manifest, before they are written."""
        new = {name for name in self.listed if not os.path.lexists(self.folder / name)}
        self._write_manifest(self._written_names() | new)

    def remove_others(self, kept_names: set[str]) -> int:
        """Remove files written here that are not in `kept_names`; ValueError for files of others."""
        written = self._written_names()
        others = [name for name in _files_below(self.folder) if name not in kept_names]
        removed = [name for name in others if name in written]
        for name in removed:
            (self.folder / name).unlink()
        self._write_manifest(written.difference(removed))
        self._refuse([name for name in others if name not in written and name not in self.listed])
        return len(removed)

    def remove_all(self) -> None:
        """Remove all files written here; ValueError, and all stays, where the folder holds anything else."""
        self._check_links()
        written = self._written_names()
        self._refuse([name for name in _files_below(self.folder) if name not in written])
        self.remove_others(set())

    def _written_names(self) -> set[str]:
        """The manifest's names that are present as plain files."""
        if not self.manifest.is_file():
            return set()
        present = set(_files_below(self.folder))
        with self.manifest.open("rb") as file:
            lines = iter(lambda: file.readline(_LONGEST_LINE), b"")
            listed = {name for line in lines if (name := os.fsdecode(line.rstrip(b"\r\n"))) in present}
        return {name for name in listed if _is_plain(self.folder / name)}

    def _write_manifest(self, names: set[str]) -> None:
        text = "".join(f"{name}\n" for name in sorted(names))
        remedy = "free some space and repeat the command"
        write_text_atomically(self.manifest, text, remedy=remedy, follow_links=False)

    def _check_links(self) -> None:
        """ValueError where links would lead writing elsewhere, or something other than a file is in the way."""
        if self.folder.is_symlink():
            raise ValueError(f"{self.folder} is a link; move it away, nothing is written through it")
        for parent in {(self.folder / name).parent for name in self.listed}:
            if not lies_inside(parent, self.folder):
                raise ValueError(f"{parent} leads out of {self.folder}; move it away, nothing is written through it")
        self._refuse(
            [name for name in self.listed if os.path.lexists(path := self.folder / name) and not path.is_file()]
        )

    def _refuse(self, names: Sequence[str]) -> None:
        """ValueError where there are files that were not written here."""
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
    """The files below a folder but for hidden ones; a link to a folder counts as a file, and is not followed."""
    for parent, folders, files in os.walk(folder):
        above = Path(parent).relative_to(folder)
        links = [name for name in folders if Path(parent, name).is_symlink()]
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from ((above / name).as_posix() for name in (*links, *files) if not name.startswith("."))


def _is_plain(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)
