"""The losses of several seeds in a file beside their runs: refreshed by the same seeds, never by others."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from autolink_gen.files import reading
from autolink_gen.text import shown
from autolink_gen.training.folders import CONFIG_NAME

_MOST_BYTES = 2**20
log = logging.getLogger(__name__)


def claim_table(file: Path, runs: Mapping[int, Path], *, fresh: bool) -> None:
    """See that the file may be written for these runs by their seeds; with ``fresh`` an old one is renamed.

    ValueError where it holds the losses of other seeds, or of runs that are there no more.
    """
    if not os.path.lexists(file):
        return
    if fresh:
        aside = next(
            path for n in range(1, 10**6) if not os.path.lexists(path := file.with_name(f"{file.name}.old{n}"))
        )
        file.rename(aside)
        log.warning("the losses that were in %s are now in %s", file, aside)
        return
    others = [seed for seed in seeds_in(file) if seed not in runs or not (runs[seed] / CONFIG_NAME).is_file()]
    if others:
        raise ValueError(
            f"{file} holds the losses of other runs, as of seed {shown(others[0])}: name all of their seeds to go on, "
            f"give another --name, or --fresh to move it aside"
        )


def seeds_in(file: Path) -> list[int]:
    """The seeds whose losses a file holds, sorted; BadFileError for another file."""
    with reading(file, "list of seeds", remedy="give another --name, or --fresh to move it aside and train all anew"):
        size = file.stat().st_size
        if size > _MOST_BYTES:
            raise ValueError(f"its {size} bytes are too many, {_MOST_BYTES} being allowed")
        return sorted(int(one["seed"]) for one in json.loads(file.read_text(encoding="utf-8")))
