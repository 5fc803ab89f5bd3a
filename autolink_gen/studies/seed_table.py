"""The file of losses beside the runs of several seeds; only the same seeds replace it."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from autolink_gen.common.files import aside_of, reading
from autolink_gen.common.json_files import read_small_json
from autolink_gen.common.text import shown
from autolink_gen.runs import CONFIG_NAME

_MOST_BYTES = 2**20
log = logging.getLogger(__name__)


def claim_table(file: Path, runs: Mapping[int, Path], *, fresh: bool) -> None:
    """See that the file may be written for these runs by their seeds; with ``fresh`` an old one is renamed.

    ValueError where it holds the losses of other seeds, or of runs that are there no more.
    """
    if not os.path.lexists(file):
        return
    if fresh:
        aside = aside_of(file)
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
        return sorted(int(entry["seed"]) for entry in read_small_json(file, most_bytes=_MOST_BYTES))
