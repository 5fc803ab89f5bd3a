"""The record of a run's data, by content, compared when the run is resumed."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

from autolink_gen.common.files import reading, write_text_atomically
from autolink_gen.common.json_files import read_small_json
from autolink_gen.common.text import shown
from autolink_gen.config import DataConfig
from autolink_gen.data.contents import Contents
from autolink_gen.data.identity import public_data
from autolink_gen.data.source import open_source
from autolink_gen.data.sources.base import Source

DATA_NAME = "data.json"
_MOST_BYTES = 2**16
log = logging.getLogger(__name__)


def source_of(data: DataConfig) -> Source:
    """The source of a run's data."""
    return open_source(data.name, root=data.root, classes=data.classes)


def read_record(folder: Path) -> Contents | None:
    """The recorded contents of a run's data; None for an old run without a record."""
    file = folder / DATA_NAME
    if not file.exists():
        return None
    with reading(file, "record of the data", remedy="remove it, and the run takes the data as they are"):
        values = read_small_json(file, most_bytes=_MOST_BYTES)
        return Contents(int(values["count"]), str(values["kind"]), str(values["digest"]))


def keep_record(folder: Path, contents: Contents) -> None:
    """Record the contents of a run's data, unless they are recorded already."""
    if read_record(folder) != contents:
        write_text_atomically(folder / DATA_NAME, json.dumps(asdict(contents)) + "\n", follow_links=False)


def other_data(folder: Path, old: DataConfig, new: DataConfig, *, contents: Contents | None = None) -> list[str]:
    """What to say where the data of the run in a folder are not those of a new configuration; nothing where they are.

    They are where they lie in the same place, whatever was added or removed there, and where they hold the same in
    another. ``contents`` are those of the new data, where they are known. An old run, which has no record, goes on with
    data in another place where the old place still holds the same.
    """
    names = [public_data(data.name) for data in (old, new)]
    before = read_record(folder)
    if names[0] == names[1] and (old.root == new.root or before is None):
        return []
    was, now = f"data.name was {shown(names[0])}", f"now {shown(names[1])}"
    if before is None and (before := _contents_now(old)) is None:
        return [
            f"{was}, {now}, and nothing is left there to compare it with (a link at the old place to the new helps)"
        ]
    contents = contents or source_of(new).contents()
    if contents == before:
        return []
    differing = " of other names or sizes" if contents.count == before.count else ""
    return [f"{was} with {before}, {now} with {contents}{differing}, which are no copy of those"]


def say_changes(folder: Path, data: DataConfig, contents: Contents) -> None:
    """Warn where the data of a run that goes on hold something else than when it was last begun."""
    before = read_record(folder)
    if before is None or before == contents:
        return
    more = contents.count - before.count
    difference = f"{abs(more):,} {'more' if more > 0 else 'fewer'}" if more else "as many, of other names or sizes"
    log.warning(
        "the data %s have changed since the run last began: %s (%s, before %s)",
        shown(public_data(data.name)), difference, contents, before,
    )  # fmt: skip


def _contents_now(old: DataConfig) -> Contents | None:
    """What the data of an old run hold; None where they are not there any more."""
    try:
        return source_of(old).contents()
    except (ValueError, OSError):  # OSError: a name longer than a file's may be, say
        return None
