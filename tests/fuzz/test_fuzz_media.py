"""Damaged pictures, videos, shards and published sets: a fixed number of each, always the same."""

from pathlib import Path

import pytest
from fuzz_checks import run_program


@pytest.mark.parametrize(
    ("kinds", "inputs"), [(("picture", "video"), 800), (("shape", "shard", "table", "sets", "prepare"), 300)]
)
def test_damaged_files_are_read_or_refused_in_a_line(kinds: tuple[str, ...], inputs: int, tmp_path: Path) -> None:
    table = run_program(kinds, inputs, keep=tmp_path)
    assert sum(row["inputs"] for row in table.values()) >= inputs - len(kinds)
    for row in table.values():
        assert row["ok"] > 0
        assert row["refused"] > 0
        assert row["ok"] + row["refused"] == row["inputs"]
