"""Tar files of pictures that tests of shards read."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image


def picture(red: int, *, kind: str = "PNG") -> bytes:
    """The file of a picture of one colour, 20 by 16 pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (20, 16), (red, 0, 0)).save(buffer, kind)
    return buffer.getvalue()


def write_tar(path: Path, files: Mapping[str, bytes], *, form: int = tarfile.GNU_FORMAT) -> Path:
    """A tar with these files, in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def numbered(first: int, last: int) -> dict[str, bytes]:
    """Pictures 000.png, 001.png and so on, as red as their number says."""
    return {f"{number:03}.png": picture(number) for number in range(first, last + 1)}
