"""What a reader may not do while it reads: start programs, open sockets, touch files that are not its input."""

import contextlib
import ctypes
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty",
             "pty.spawn", "os.startfile"}  # fmt: skip
_SOCKETS = {"socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto", "urllib.Request",
            "http.client.connect", "ftplib.connect", "smtplib.connect"}  # fmt: skip
_CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
            "os.chown", "shutil.rmtree", "shutil.move", "shutil.copyfile", "os.utime"}  # fmt: skip
_IN_OPEN, _IN_ISDIR = 0x20, 0x40000000
_IN_CHANGES = 0x2 | 0x4 | 0x40 | 0x80 | 0x100 | 0x200
_REPOSITORY = Path(__file__).resolve().parents[2]


def _read_roots() -> tuple[str, ...]:
    """Folders that Python and its libraries read their own files from."""
    places = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values(), str(_REPOSITORY)}
    system = ("/usr/share", "/usr/lib", "/usr/local", "/lib", "/etc", "/proc", "/sys", "/dev/null", "/dev/urandom")
    return (*(os.path.realpath(place) + os.sep for place in places), *system)


def lay_canaries(folder: Path) -> None:
    """Files beside the workers' folders that no reader may touch; samples of links and playlists name them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("secret.txt", "other.mp4", "other.h5", "other.ts"):
        (folder / name).write_text("no reader may open this\n")


class Guard:
    """Records what a reader does beyond reading; there is one for a process, and it stays to its end.

    Python's audit events tell what Python code does. Libraries in C raise none: where the system can, it tells
    of every file that is opened in the folders of ``canaries``, which samples of playlists and links name.
    """

    def __init__(self, home: Path, canaries: Sequence[Path]) -> None:
        self._home, self._on = str(home.resolve()) + os.sep, False
        self._events: list[tuple[str, str]] = []
        self._roots = _read_roots()
        self._inotify = _watch(canaries)
        sys.addaudithook(self._audit)

    @contextlib.contextmanager
    def watching(self) -> Iterator[list[tuple[str, str]]]:
        """Record while the block runs, into the list that is given."""
        self._canary()  # what others opened before
        self._events = []
        self._on = True
        try:
            yield self._events
        finally:
            self._on = False
            self._events += self._canary()

    def _canary(self) -> list[tuple[str, str]]:
        if self._inotify < 0:
            return []
        try:
            raw = os.read(self._inotify, 65536)
        except BlockingIOError:
            return []
        return [
            (f"{'opens' if mask & _IN_OPEN else 'changes'} a file that it was not given", name)
            for mask, name in _told(raw)
            if not mask & _IN_ISDIR
        ]

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._on:
            return
        self._on = False  # what is done here is not the reader's doing
        try:
            self._look(event, arguments)
        finally:
            self._on = True

    def _look(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            self._opened(*arguments[:3])
        elif event in _PROGRAMS and not _is_ours(arguments):
            self._events.append((f"starts a program ({event})", repr(arguments)[:500]))
        elif event in _SOCKETS:
            self._events.append((f"uses the network ({event})", repr(arguments)[:500]))
        elif event in _CHANGES and not self._is_own(arguments[0]):
            self._events.append((f"changes a file elsewhere ({event})", repr(arguments)[:500]))
        elif event == "pickle.find_class":
            self._events.append((f"asks pickle for {arguments[0]!s:.60}.{arguments[1]!s:.60}", repr(arguments)[:500]))
        elif event == "exec":
            name = getattr(arguments[0], "co_filename", "")
            if not (name.startswith(("<frozen", "<@beartype", *self._roots)) or _is_imports()):
                self._events.append((f"runs code ({name[:60]})", repr(arguments)[:500]))

    def _opened(self, path: object, mode: object, flags: object) -> None:
        if isinstance(path, int) or self._is_own(path):
            return
        writes = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
        full = os.path.realpath(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else repr(path)
        if writes and full != os.devnull:
            self._events.append(("opens a file elsewhere for writing", full))
        elif not writes and not full.startswith(self._roots) and not _is_imports():
            self._events.append(("opens a file elsewhere", full))

    def _is_own(self, path: object) -> bool:
        if isinstance(path, int):
            return True
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        return (os.path.realpath(os.fsdecode(path)) + os.sep).startswith(self._home)


def _is_ours(arguments: tuple[Any, ...]) -> bool:
    """Whether the program is the product itself, which reads in a process apart what may end the process."""
    words = arguments[1] if len(arguments) > 1 else ()
    is_python = arguments[0] == sys.executable and isinstance(words, list | tuple) and len(words) > 2
    return is_python and str(words[1]) == "-c" and "from autolink_gen." in str(words[2])


def _is_imports() -> bool:
    """Whether this happens for the import of a module, which may be late, or where tests check a signature."""
    frame = sys._getframe()
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib") or "/jaxtyping/" in name or "/beartype/" in name:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _told(raw: bytes) -> Iterator[tuple[int, str]]:
    """What happened and to which file, of each event of inotify."""
    place = 0
    while place + 16 <= len(raw):
        mask, length = (int.from_bytes(raw[place + at : place + at + 4], sys.byteorder) for at in (4, 12))
        yield mask, raw[place + 16 : place + 16 + length].split(b"\0")[0].decode("utf-8", "replace")
        place += 16 + length


def _watch(folders: Sequence[Path]) -> int:
    """A handle that tells of what is opened or changed in folders, or -1 where the system has none."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "inotify_init1"):
        return -1
    handle = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    for folder in folders if handle >= 0 else ():
        if libc.inotify_add_watch(handle, os.fsencode(folder), _IN_OPEN | _IN_CHANGES) < 0:
            return -1
    return handle
