"""Many transfers in one go: a table of sources and drivers in, a result for each out; each pair fails by itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autolink_gen.common.files import fitting_name, reading, reason_of
from autolink_gen.common.text import from_cell, shown
from autolink_gen.data.tables import open_rows
from autolink_gen.inference.painting_places import IMAGE_SUFFIXES
from autolink_gen.inference.transfer_files import TransferFiles
from autolink_gen.inference.transfer_video import TransferReport

_DRIVERS = ("driver", "driving")  # the second as in the lists of the First Order Motion Model


@dataclass(frozen=True)
class Pair:
    """A source and a driver, and the name of their result."""

    source: Path
    driver: Path
    out: Path


@dataclass(frozen=True)
class PairResult:
    """What became of a pair: a report, a ``problem``, or neither where its result ``was_there`` already."""

    pair: Pair
    files: TransferFiles | None = None
    report: TransferReport | None = None
    problem: str = ""
    was_there: bool = False


def read_pairs(table: Path, *, out: Path) -> list[Pair]:
    """The pairs of a CSV table, whose results go to the folder ``out``.

    The columns ``source`` and ``driver`` (or ``driving``) name files, from the table's folder on; ``out``, which may be
    left away, a result in the folder. Others are passed over. Raises BadFileError, with the line, for a table without
    them, with an empty cell, or with a result of one name twice or outside of the folder.
    """
    with reading(table, "table of pairs", remedy="save it as CSV, with the columns source and driver"):
        with open_rows(table) as lines:
            rows = list(lines)
        header = [cell.strip().lower() for cell in rows[0][1]] if rows else []
        driver = next((name for name in _DRIVERS if name in header), None)
        if driver is None or "source" not in header:
            raise ValueError(f"it needs the columns source and driver, and has {shown(', '.join(header)) or 'none'}")
        if len(rows) == 1:
            raise ValueError("it has no pairs below its header")
        taken: set[str] = set()
        pairs = []
        for line, cells in rows[1:]:
            row = dict(zip(header, (from_cell(cell.strip()) for cell in cells), strict=False))
            pair = _pair(table.parent, line, row.get("source", ""), row.get(driver, ""), row.get("out", ""), folder=out)
            if str(pair.out).lower() in taken:
                raise ValueError(
                    f"line {line}: {shown(pair.out.name)} is the result of another line too: name it in out"
                )
            taken.add(str(pair.out).lower())
            pairs.append(pair)
    return pairs


def _pair(place: Path, line: int, source: str, driver: str, result: str, *, folder: Path) -> Pair:
    if not source or not driver:
        raise ValueError(f"line {line}: no {'driver' if source else 'source'}")
    if Path(result).is_absolute() or ".." in Path(result).parts:
        raise ValueError(f"line {line}: the result {shown(result)} must lie in --out: give a name alone")
    if not result:
        is_image = Path(driver).suffix.lower() in IMAGE_SUFFIXES
        result = fitting_name(f"{Path(source).stem}-{Path(driver).stem}", ".png" if is_image else ".mp4")
    return Pair(place / source, place / driver, folder / result)


def animate_pairs(
    pairs: Sequence[Pair], *, opened: Mapping[str, Any], animate: Callable[[TransferFiles], TransferReport]
) -> Iterator[PairResult]:
    """Animate one pair after the other, so that what is finished stays where a later one fails.

    ``opened`` are the options of :meth:`TransferFiles.open`. A result that is there is left as it is unless
    ``overwrite`` is one of them.
    """
    for pair in pairs:
        if pair.out.exists() and not opened.get("overwrite"):
            yield PairResult(pair, was_there=True)
            continue
        files = None
        try:
            files = TransferFiles.open(pair.source, pair.driver, out=pair.out, **opened)
            pair.out.parent.mkdir(parents=True, exist_ok=True)
            report = animate(files)
        except (ValueError, OSError) as error:
            yield PairResult(pair, files, problem=f"{pair.source} by {pair.driver}: {reason_of(error)}")
        else:
            yield PairResult(pair, files, report)
