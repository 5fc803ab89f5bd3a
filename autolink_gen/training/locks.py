"""The lock on a run's folder, so that one process at a time trains in it or moves it.

The file names its holder, to other users too, and goes with the lock, even when the folder moves meanwhile; forked
readers of data do not inherit it. filelock does none of that.
"""

import contextlib
import functools
import logging
import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from autolink_gen.common.files import reason_of
from autolink_gen.common.text import shown

LOCK_NAME = ".lock"
_MOST_READ = 300  # bytes of a lock's file
_ATTEMPTS = 100  # while others make and remove the file at the same moment
_SIGNED = re.compile(r"process (\d{1,9}) on (\S+)")
log = logging.getLogger(__name__)
_held: set[int] = set()  # descriptors of locks that this process holds


@contextlib.contextmanager
def locked_run(folder: Path) -> Iterator[None]:
    """Hold the lock of an existing run folder; the system frees it however the process ends.

    Raises ValueError, which names the holder, where another process or another thread has it, and OSError where
    the folder cannot be written. On a file system without locks whoever makes the file holds the lock, until that
    process has ended; Windows goes on without.
    """
    lock = _acquire(folder)
    if lock is None:
        yield
        return
    _held.add(lock)
    try:
        yield
    finally:
        _release(folder, lock)


def _acquire(folder: Path) -> int | None:
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    _close_in_children()
    for _ in range(_ATTEMPTS):
        lock, is_new = _open(folder / LOCK_NAME)
        if lock is None:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = _is_at(folder / LOCK_NAME, lock)
        except BlockingIOError:
            raise _in_use(folder, lock) from None
        except OSError as error:
            log.debug("no lock on %s: %s", folder, error)
            is_ours = is_new
            if not is_new:
                _clear_left(folder, lock)
        if is_ours:
            _sign(lock)
            return lock
        os.close(lock)  # whoever held it has removed the file, or moved the folder, in between
    raise ValueError(f"{folder} is in use by other processes: wait until they end, or give another --name")


def _open(file: Path) -> tuple[int | None, bool]:
    """A descriptor of the lock's file and whether the file is new; none where another removes it meanwhile.

    ValueError for a link or a pipe, through which something else is written.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        with contextlib.suppress(FileExistsError):
            return os.open(file, flags | os.O_CREAT | os.O_EXCL, 0o666), True
        if not os.path.lexists(file):
            return None, False
        lock = os.open(file, flags)
    except OSError as error:
        raise OSError(
            f"cannot lock the run's folder: {file}: {reason_of(error)}; mend its rights, or choose another --out"
        ) from error
    if not stat.S_ISREG(os.fstat(lock).st_mode):
        os.close(lock)
        raise ValueError(f"{file} is no plain file; remove it and repeat the command")
    return lock, False


def _in_use(folder: Path, lock: int, remedy: str = "") -> ValueError:
    """The error for a folder that another process holds; closes the lock."""
    holder = _holder(lock)
    os.close(lock)
    return ValueError(
        f"{folder} is in use by {holder}, which trains there: wait until it ends, stop it, or give another --name"
        f"{remedy}"
    )


def _clear_left(folder: Path, lock: int) -> None:
    """Where the system has no locks: remove the file, to be made anew, where whoever made it has ended.

    ValueError where that process goes on, or runs on another machine, of which nothing is known.
    """
    signed = _SIGNED.fullmatch(_read(lock))
    if signed is None or signed[2] != socket.gethostname() or _is_alive(int(signed[1])):
        raise _in_use(folder, lock, f"; where it has ended already, remove {folder / LOCK_NAME}")
    if _is_at(folder / LOCK_NAME, lock):
        (folder / LOCK_NAME).unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _sign(lock: int) -> None:
    """Write the holder into the lock's file; a full disk is ignored."""
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)


def _holder(lock: int) -> str:
    """The lock's holder, as its file says."""
    text = _read(lock)
    return shown(text) if text else "another process"


def _read(lock: int) -> str:
    return os.pread(lock, _MOST_READ, 0).decode("utf-8", "replace").strip()


def _is_at(file: Path, lock: int) -> bool:
    """Whether the file is still the one that was locked."""
    try:
        return os.path.samestat(os.fstat(lock), file.lstat())
    except OSError:
        return False


def _release(folder: Path, lock: int) -> None:
    """Remove the lock's file, unless the folder was moved and another made in its place, and free the lock."""
    with contextlib.suppress(OSError):
        if _is_at(folder / LOCK_NAME, lock):
            (folder / LOCK_NAME).unlink()
    _held.discard(lock)
    os.close(lock)


def _close_held() -> None:
    for lock in _held:
        with contextlib.suppress(OSError):
            os.close(lock)
    _held.clear()


@functools.cache  # once a process
def _close_in_children() -> None:
    """Close the locks in processes forked from this one, which must not hold them when it is killed."""
    os.register_at_fork(after_in_child=_close_held)
