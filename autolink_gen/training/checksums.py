"""``SHA256SUMS`` files, in the form of ``sha256sum``, that reveal damaged files."""

import re
from collections.abc import Sequence
from pathlib import Path

from autolink_gen.common.digests import file_sha256
from autolink_gen.common.files import reason_of

SUMS_NAME = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^/]+)")
_MOST = 2**16  # bytes


def write_sums(folder: Path, names: Sequence[str]) -> None:
    """Write the digests of some files of a folder."""
    lines = [f"{file_sha256(folder / name)}  {name}\n" for name in names]
    (folder / SUMS_NAME).write_text("".join(lines), encoding="utf-8")


def check_sums(folder: Path, names: Sequence[str]) -> None:
    """ValueError where a file has changed since it was written; an old folder without digests passes."""
    file = folder / SUMS_NAME
    if not file.is_file():
        return
    try:
        with file.open("rb") as opened:
            lines = opened.read(_MOST).decode("utf-8").splitlines()
        digests = {match[2]: match[1] for line in lines if (match := _LINE.fullmatch(line))}
        for name in names:
            if not (folder / name).is_file():
                raise ValueError(f"{folder / name} cannot be read: it is no file, or not there")
            if digests.get(name) != file_sha256(folder / name):
                raise ValueError(f"{folder / name} cannot be read: it is damaged, its digest not that in {file}")
    except (OSError, UnicodeDecodeError) as error:
        where = getattr(error, "filename", None) or file
        raise ValueError(f"{where} cannot be read: {reason_of(error)}") from error
