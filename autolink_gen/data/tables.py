"""Tables as people save them: with commas, semicolons or tabs, decimal commas, in UTF-8 or UTF-16."""

import codecs
import csv
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

LONGEST_LINE = 2_000_000
_DELIMITERS = ",;\t"
_BYTE_ORDERS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@contextmanager
def open_rows(path: Path) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """The rows of a table that hold anything, each with its number in a spreadsheet, counted from 1.

    The first says what separates the cells: commas, semicolons or tabs. Raises ValueError for text in another
    encoding than UTF-8 or UTF-16, and for lines without an end.
    """
    with path.open("rb") as raw:
        encoding = "utf-16" if raw.read(2) in _BYTE_ORDERS else "utf-8-sig"
    with path.open(newline="", encoding=encoding) as handle:
        yield _rows(handle)


def _rows(handle: TextIO) -> Iterator[tuple[int, list[str]]]:
    lines, number = _lines(handle), 0
    for first in lines:
        number += 1
        if not first.strip().strip(_DELIMITERS):
            continue
        if first.startswith("sep="):  # what Excel writes for itself
            delimiter, again = first[4:5], []
        else:
            delimiter, again = max(_DELIMITERS, key=first.count), [first]
            number -= 1
        for row in csv.reader(_chained(again, lines), delimiter=delimiter):
            number += 1
            if any(cell.strip() for cell in row):
                yield number, row


def _chained(again: list[str], lines: Iterator[str]) -> Iterator[str]:
    yield from again
    yield from lines


def _lines(handle: TextIO) -> Iterator[str]:
    try:
        for line in iter(lambda: handle.readline(LONGEST_LINE), ""):
            if len(line) == LONGEST_LINE:
                raise ValueError(f"it has a line of more than {LONGEST_LINE:,} characters")
            yield line
    except UnicodeError as error:
        raise ValueError("its text is neither UTF-8 nor UTF-16: save it as CSV UTF-8") from error


def to_number(cell: str) -> float:
    """A cell as a number, with a point or a decimal comma; NaN where it is empty. ValueError for any other text."""
    text = cell.strip()
    if not text:
        return math.nan
    if not text.isascii() or "_" in text:  # digits of other scripts, and what Python alone takes for a number
        raise ValueError(f"{text!r} is no number")
    return float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
