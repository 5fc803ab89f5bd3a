"""Damaged models, saves, checkpoints, pickles, settings and texts: a fixed number of each, always the same."""

from pathlib import Path

import pytest
from fuzz_checks import fuzzed

COUNTS = {"model": 150, "save": 250, "state": 500, "official": 150, "features": 900, "arrays": 300, "frames": 250,
          "pose": 700, "regressor": 700, "recipe": 150, "override": 400, "settings": 200, "metrics": 400, "noted": 250,
          "page": 900, "name": 700}  # fmt: skip


@pytest.mark.parametrize("kind", COUNTS)
def test_damaged_files_are_read_or_refused_in_a_line(kind: str, tmp_path: Path) -> None:
    report = fuzzed(kind, COUNTS[kind], tmp_path)
    tally = report.tallies[kind]
    assert tally.ok + tally.refused == COUNTS[kind]
    assert tally.ok > 0 or kind == "official"  # whose networks are too large to be made here
