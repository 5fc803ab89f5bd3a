"""Which images a finished pose file holds."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

from autolink_gen.common.text import to_cell, unicode_text

_TABLES = {"csv": 1, "dlc": 3}  # rows of heads, before those that begin with an image's name
_LISTS = {"json": ("pictures", "file"), "coco": ("images", "file_name")}


def images_without(files: Mapping[str, Path], images: list[Path]) -> list[Path]:
    """The images that the ``files`` of images, by their format, do not hold; none where no file says which it holds."""
    for form in (*_TABLES, *_LISTS):
        if form in files and (held := _held(files[form], form)) is not None:
            as_written = to_cell if form in _TABLES else unicode_text
            return [image for image in images if as_written(image.as_posix()) not in held]
    return []


def _held(path: Path, form: str) -> set[str] | None:
    """The names of the images in a file, as they are written there; None for one that is not of ours."""
    try:
        if form in _TABLES:
            with path.open(newline="", encoding="utf-8") as file:
                return {row[0] for row in list(csv.reader(file))[_TABLES[form] :]}
        records, name = _LISTS[form]
        return {record[name] for record in json.loads(path.read_text(encoding="utf-8"))[records]}
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError, csv.Error):
        return None
