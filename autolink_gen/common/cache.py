"""The cache folder for fetched files, and its locks."""

import contextlib
import errno
import logging
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_cache_dir

from autolink_gen.common.text import printable

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "AUTOLINK_GEN_CACHE"
DAY_S = 24 * 60 * 60


def cache_folder() -> Path:
    """The cache folder: AUTOLINK_GEN_CACHE of the environment, else the system's default.

    Raises ValueError for the home of a user whom the system does not know.
    """
    setting = os.environ.get(CACHE_VARIABLE)
    try:
        return Path(setting).expanduser() if setting else Path(user_cache_dir("autolink-gen"))
    except RuntimeError as problem:
        where = f"{CACHE_VARIABLE} is {printable(setting)}" if setting else "there is no home for the cache"
        raise ValueError(f"{where}: {problem}; set {CACHE_VARIABLE} to a folder") from problem


def cache_subfolder(name: str) -> Path:
    """A folder in the cache, created if missing; ValueError where it cannot be."""
    folder = cache_folder() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise _unwritable(folder, problem) from problem
    return folder


@contextlib.contextmanager
def cache_lock(name: str) -> Iterator[bool]:
    """Hold a lock of the cache, so that several processes fetch a file once.

    A killed process frees it. Gives whether the system can lock: Windows cannot, nor can some file systems. Raises
    ValueError where the cache cannot be written.
    """
    folder = cache_subfolder("")
    try:
        handle = _open_lock(folder / f"{name}.lock")
    except OSError as problem:
        raise _unwritable(folder, problem) from problem
    try:
        yield _lock(handle, folder)
    finally:
        os.close(handle)


def _open_lock(path: Path) -> int:
    """Open a lock file without emptying, following or waiting for what lies there.

    filelock would empty a file in its place, and lock a pipe.
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, "a symbolic link is in the way", str(path))
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EEXIST, "something that is no file is in the way", str(path))
    return handle


def _lock(handle: int, folder: Path) -> bool:
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)
    # Two may fetch then, and the last atomic write stays.
    except (ImportError, OSError):
        logger.debug("no lock on %s", folder)
        return False
    return True


def clear_leftovers(path: Path, *, alone: bool) -> None:
    """Remove the temporary files that killed processes left beside `path`.

    `alone`: a lock tells that nobody writes `path` now; else what is younger than a day stays.
    """
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9]+\.tmp")
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):  # another process was quicker, or Windows, where it is in use
                    if alone or time.time() - entry.stat(follow_symlinks=False).st_mtime > DAY_S:
                        Path(entry).unlink()


def _unwritable(folder: Path, problem: OSError) -> ValueError:
    return ValueError(
        f"the cache folder {printable(str(folder))} can't be written ({printable(str(problem))}): "
        f"set {CACHE_VARIABLE} to one that can"
    )
