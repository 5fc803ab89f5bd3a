"""Paths that stand for streams: the standard output, a pipe, a terminal."""

import os
import re
import shutil
import stat
import sys
from pathlib import Path

_STDOUT = 1
_DESCRIPTOR = re.compile(r"/dev/(stdout|stderr)|/(?:dev|proc/self)/fd/(\d{1,9})")


def standard_output(path: Path) -> bool:
    """Whether a path stands for the standard output: "-", or the system's name for it."""
    return _descriptor(path) == _STDOUT


def _descriptor(path: Path) -> int | None:
    """The open descriptor a path stands for, if any; opening it by name could empty it."""
    if str(path) == "-":
        return _STDOUT
    match = _DESCRIPTOR.fullmatch(str(path))
    return None if match is None else {"stdout": _STDOUT, "stderr": 2}.get(match[1]) or int(match[2])


def is_stream(path: Path) -> bool:
    """Whether a path is a pipe, a terminal or another device."""
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def pour(temporary: Path, path: Path) -> None:
    """Copy a file into the stream that a path stands for."""
    handle = _descriptor(path)
    with temporary.open("rb") as content:
        if handle == _STDOUT:  # what was said already comes first
            sys.stdout.flush()
            shutil.copyfileobj(content, sys.stdout.buffer)
            sys.stdout.flush()
            return
        with path.open("wb") if handle is None else os.fdopen(os.dup(handle), "wb") as stream:
            shutil.copyfileobj(content, stream)
