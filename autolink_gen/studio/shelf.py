"""Files of pages: kept in one folder while the studio runs, few at a time, under names that nobody can guess."""

import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from autolink_gen.common.text import printable, shown

MAX_KEPT = 12
_MAX_STEM = 60  # characters


@dataclass(frozen=True)
class KeptFile:
    """A file on a shelf: how pages ask for it, where it lies, what its owner calls it."""

    token: str
    path: Path
    name: str

    def named(self, message: str) -> str:
        """A message with the owner's name for the file in the place of its path."""
        label = shown(self.name, most=80)
        return message.replace(str(self.path), label).replace(printable(str(self.path)), label)


class Shelf:
    """Keeps the ``most`` newest files in a folder, each in one of its own.

    One more takes the place of the oldest that nobody uses. A token has 128 random bits.
    """

    def __init__(self, folder: Path, *, most: int = MAX_KEPT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.most = folder, most
        self._files: dict[str, KeptFile] = {}  # the oldest first
        self._users = Counter[str]()
        self._lock = RLock()

    @contextmanager
    def new(self, name: str) -> Iterator[KeptFile]:
        """A place for a file, which is kept where the block ends well and writes it, and removed elsewhere.

        The file has the ending of ``name``. Raises ValueError where all that are kept are in use.
        """
        token = secrets.token_urlsafe(16)
        file = KeptFile(token, self.folder / token / _safe(name), name)
        with self._lock:
            self._make_room()
            self._files[token] = file
            self._users[token] += 1
        try:
            file.path.parent.mkdir()  # not the folder again: a job may outlive the studio for some seconds
            yield file
        except BaseException:
            self.remove(token)
            raise
        finally:
            self._release([token])

    def get(self, token: str) -> KeptFile:
        """The file of a token; ValueError where it is not kept any more, or never was."""
        file = self._files.get(token)
        if file is None or not file.path.is_file():
            raise ValueError(f"that file is not kept any more: the studio keeps {self.most}; choose it again")
        return file

    @contextmanager
    def using(self, *tokens: str) -> Iterator[list[KeptFile]]:
        """The files of tokens, none of which is removed in the block; ValueError as `get`."""
        with self._lock:
            files = [self.get(token) for token in tokens]
            self._users.update(tokens)
        try:
            yield files
        finally:
            self._release(tokens)

    def remove(self, token: str) -> None:
        """Forget a file and delete it; nothing where there is none."""
        with self._lock:
            file = self._files.pop(token, None)
        if file is not None:
            shutil.rmtree(file.path.parent, ignore_errors=True)

    def _make_room(self) -> None:
        while len(self._files) >= self.most:
            unused = next((token for token in self._files if not self._users[token]), None)
            if unused is None:
                raise ValueError(f"{self.most} files are in use, as many as the studio keeps; try again later")
            self.remove(unused)

    def _release(self, tokens: Sequence[str]) -> None:
        with self._lock:
            self._users.subtract(tokens)
            self._users = +self._users  # those without users need no count


def _safe(name: str) -> str:
    """A name for the disk: word characters, and the ending in lower case."""
    path = Path(name.replace("\\", "/").replace("\0", ""))
    stem, ending = (re.sub(r"[^\w-]+", "_", part, flags=re.ASCII) for part in (path.stem, path.suffix[1:].lower()))
    return f"{stem[:_MAX_STEM] or 'file'}.{ending[:_MAX_STEM]}" if ending else stem[:_MAX_STEM] or "file"
