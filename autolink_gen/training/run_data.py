"""What data a run is trained on, by what they hold: recorded in its folder, and compared when it goes on."""

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

DATA_NAME = "data.json"
_MOST_BYTES = 2**16
log = logging.getLogger(__name__)


def found_data(data: DataConfig) -> Contents:
    """What is found of a run's data now; ValueError where there are none."""
    return open_source(data.name, root=data.root, classes=data.classes).contents()


def read_record(folder: Path) -> Contents | None:
    """What the run in a folder found of its data; None for a run of old, which has no record of it."""
    file = folder / DATA_NAME
    if not file.exists():
        return None
    with reading(file, "record of the data", remedy="remove it, and the run takes the data as they are"):
        values = read_small_json(file, most_bytes=_MOST_BYTES)
        return Contents(int(values["count"]), str(values["kind"]), str(values["digest"]))


def keep_record(folder: Path, found: Contents) -> None:
    """Write down what a run found of its data, unless just that is written there."""
    if read_record(folder) != found:
        write_text_atomically(folder / DATA_NAME, json.dumps(asdict(found)) + "\n", follow_links=False)


def other_data(folder: Path, old: DataConfig, new: DataConfig, *, found: Contents | None = None) -> list[str]:
    """What to say where the data of the run in a folder are not those of a new configuration; nothing where they are.

    They are where they lie in the same place, whatever was added or removed there, and where they hold the same in
    another. ``found`` is what the new data hold, where that is known. A run of old, which has no record, goes on with
    data in another place where the old place still holds the same.
    """
    names = [public_data(one.name) for one in (old, new)]
    before = read_record(folder)
    if names[0] == names[1] and (old.root == new.root or before is None):
        return []
    was, now = f"data.name was {shown(names[0])}", f"now {shown(names[1])}"
    if before is None and (before := _left_at(old)) is None:
        return [
            f"{was}, {now}, and nothing is left there to compare it with (a link at the old place to the new helps)"
        ]
    found = found or found_data(new)
    if found == before:
        return []
    differing = " of other names or sizes" if found.count == before.count else ""
    return [f"{was} with {before}, {now} with {found}{differing}, which are no copy of those"]


def say_changes(folder: Path, data: DataConfig, found: Contents) -> None:
    """Warn where the data of a run that goes on hold something else than when it was last begun."""
    before = read_record(folder)
    if before is None or before == found:
        return
    more = found.count - before.count
    what = f"{abs(more):,} {'more' if more > 0 else 'fewer'}" if more else "as many, of other names or sizes"
    log.warning(
        "the data %s have changed since the run last began: %s (%s, before %s)",
        shown(public_data(data.name)), what, found, before,
    )  # fmt: skip


def _left_at(old: DataConfig) -> Contents | None:
    try:
        return found_data(old)
    except (ValueError, OSError):  # OSError: a name longer than a file's may be, say
        return None
