"""The folder where what was fetched is kept, and its locks."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_cache_dir

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "AUTOLINK_GEN_CACHE"


def cache_folder() -> Path:
    """Folder of our cache: the environment's AUTOLINK_GEN_CACHE, else the system's for this user."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else Path(user_cache_dir("autolink-gen"))


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock of the cache, so that the processes of one training run fetch once; freed even when killed.

    Raises ValueError where the cache cannot be written.
    """
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f"{name}.lock").open("w")
    except OSError as problem:
        raise ValueError(
            f"the cache folder {folder} can't be written ({problem}): set {CACHE_VARIABLE} to one that can"
        ) from problem
    with lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        # Windows, and file systems without locks: two may fetch then, and the last atomic write stays.
        except (ImportError, OSError):
            logger.debug("no lock on %s", folder)
        yield
