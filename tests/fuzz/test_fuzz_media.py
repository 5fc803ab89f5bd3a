"""Damaged pictures, videos, shards and published sets: a fixed number of each, always the same."""

from pathlib import Path

import pytest
from fuzz_checks import fuzzed

COUNTS = {"picture": 1500, "video": 450, "shard": 900, "sets": 350, "prepare": 40, "table": 900}


@pytest.mark.parametrize("kind", COUNTS)
def test_damaged_files_are_read_or_refused_in_a_line(kind: str, tmp_path: Path) -> None:
    report = fuzzed(kind, COUNTS[kind], tmp_path)
    assert report.tallies[kind].ok > 0
    assert report.tallies[kind].refused > 0
