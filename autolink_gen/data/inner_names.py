"""File names from untrusted lists, checked to stay inside their folder."""

import os
import re
import unicodedata
from pathlib import Path

from autolink_gen.common.files import BadFileError
from autolink_gen.common.text import printable, shown

_MAX_PART_BYTES, _MAX_BYTES = 240, 1024  # what file systems take, less room for an ending
_REFUSED = {"Cc", "Cs", "Zl", "Zp"}  # control characters, lone surrogates, separators of lines
_DRIVE = re.compile(r"[A-Za-z]:")


def inner_name(name: object, where: str) -> str:
    """The name, which may become a path below a folder without leaving it.

    Raises BadFileError that begins with `where`, the file and the row, for a name that is absolute, goes up, has a
    drive, a backslash or control characters, or is longer than file systems take.
    """
    if not isinstance(name, str):
        raise BadFileError(f"{printable(where)}: the name of a file was expected, not {shown(name)}; fetch it again")
    if fault := _fault(name):
        raise BadFileError(
            f"{printable(where)}: '{shown(name)}' {fault}; it must name a file inside the folder of the images"
        )
    return name


def _fault(name: str) -> str:
    """The fault of a name; empty where there is none."""
    parts = name.split("/")
    faults = {
        "names no file": not name.strip("./ ") or name.endswith("/"),
        "has control characters": any(unicodedata.category(character) in _REFUSED for character in name),
        "is an absolute path": name.startswith("/") or _DRIVE.match(name) is not None,
        "has a backslash": "\\" in name,
        "leads out of its folder": ".." in parts,
        "is longer than a name may be": _num_bytes(name) > _MAX_BYTES or max(map(_num_bytes, parts)) > _MAX_PART_BYTES,
    }
    return next((fault for fault, is_found in faults.items() if is_found), "")


def _num_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def lies_inside(path: Path, folder: Path) -> bool:
    """Whether a path leads into a folder, or to it, once links are followed."""
    # Path.resolve raises RuntimeError where links go round in a circle.
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
