"""List files of published sets: untrusted text, CSV and JSON, bounded and checked."""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from autolink_gen.common.files import BadFileError, reading
from autolink_gen.common.text import shown
from autolink_gen.data.inner_names import inner_name

MAX_BYTES = 32 * 2**20  # three times the largest list that is published; what is made of it takes twenty times that
_REMEDY = "fetch the file again"
_NUMBER = re.compile(r"[-+]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})([eE][-+]?\d{1,2})?", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)


def read_bytes(file: Path, *, most: int = MAX_BYTES, remedy: str = _REMEDY) -> bytes:
    """The content of a regular file; BadFileError where it has more than `most` bytes, or is none."""
    if not file.is_file():  # a pipe or a device would never end
        raise BadFileError(f"there is no file {shown(str(file))}, which the set should have; unpack it again")
    with file.open("rb") as handle:
        content = handle.read(most + 1)
    if len(content) > most:
        raise BadFileError(f"{shown(str(file))} has more than {most:,} bytes, as no such file does; {remedy}")
    return content


def read_text(file: Path) -> str:
    """A list as text; BadFileError where it is none."""
    content = read_bytes(file)
    with reading(file, "text", remedy=_REMEDY):
        return content.decode("utf-8")


def read_json(file: Path) -> Any:
    """The content of a JSON file; BadFileError where it is none."""
    content = read_bytes(file)
    with reading(file, "JSON", remedy=_REMEDY):
        return json.loads(content)


def read_csv(file: Path) -> list[list[str]]:
    """The rows of a CSV file, its headings among them; BadFileError where it is none."""
    text = read_text(file)
    with reading(file, "CSV table", remedy=_REMEDY):
        return list(csv.reader(io.StringIO(text, newline="")))


def row_of(file: Path, number: int) -> str:
    """A row as messages name it, counted from 1."""
    return f"{file}, row {number}"


def names_in(file: Path) -> list[str]:
    """The image names at the beginning of a list's lines."""
    lines = enumerate(read_text(file).splitlines(), start=1)
    return [inner_name(line.split()[0], row_of(file, number)) for number, line in lines if line.strip()]


def numbers_by_name(file: Path, *, columns: int) -> dict[str, list[float]]:
    """Rows of a name and `columns` numbers, below a count and headings; BadFileError for any other row."""
    numbers = {}
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        words = line.split()
        if len(words) == columns + 1 and are_numbers(words[1:]):
            numbers[inner_name(words[0], row_of(file, number))] = [float(word) for word in words[1:]]
        elif words and (numbers or Path(words[0]).suffix):  # above the images no word is a file's name
            raise BadFileError(
                f"{row_of(file, number)}: a name and {columns} numbers were expected, not "
                f"'{shown(line.strip(), most=60)}'; {_REMEDY}"
            )
    if not numbers:
        raise BadFileError(f"{file} has no rows of a name and {columns} numbers; it is damaged or another file")
    return numbers


def rows_of(file: Path, *, columns: int) -> list[list[str]]:
    """Rows of a whole number and further words; BadFileError for a row that is none."""
    rows = [line.split() for line in read_text(file).splitlines() if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != columns or not _WHOLE.fullmatch(row[0]):
            raise BadFileError(
                f"{row_of(file, number)}: a number and {columns - 1} more words were expected, not {shown(row)}"
            )
    return rows


def rows_by_number(file: Path, *, columns: int) -> dict[int, list[str]]:
    """Rows by the whole number that begins each, with so many words after it."""
    return {int(number): rest for number, *rest in rows_of(file, columns=columns + 1)}


def floats(words: Sequence[str], file: Path) -> list[float]:
    """Words as numbers; BadFileError where one is none."""
    if not are_numbers(words):
        raise BadFileError(f"{file}: {shown(' '.join(words))} should be numbers; {_REMEDY}")
    return [float(word) for word in words]


def whole_number(word: str, file: Path) -> int:
    """A word as a whole number; BadFileError where it is none."""
    if not _WHOLE.fullmatch(word):
        raise BadFileError(f"{file}: {shown(word)} should be a whole number; {_REMEDY}")
    return int(word)


def are_numbers(words: Iterable[str]) -> bool:
    """Whether all words are finite decimal numbers in plain digits."""
    return all(_NUMBER.fullmatch(word) for word in words)
