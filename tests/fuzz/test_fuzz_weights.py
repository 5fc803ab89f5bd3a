"""Damaged models, saves, checkpoints, pickles, settings and texts: a fixed number of each, always the same."""

from pathlib import Path

import pytest
from fuzz_checks import run_program

WEIGHTS = ("model", "save", "state", "official", "features", "arrays", "frames")
TEXTS = ("pose", "regressor", "recipe", "override", "settings", "metrics", "noted", "page", "name")


@pytest.mark.parametrize(("kinds", "inputs"), [(WEIGHTS, 400), (TEXTS, 650)])
def test_damaged_files_are_read_or_refused_in_a_line(kinds: tuple[str, ...], inputs: int, tmp_path: Path) -> None:
    table = run_program(kinds, inputs, keep=tmp_path)
    assert sum(row["inputs"] for row in table.values()) >= inputs - len(kinds)
    for kind, row in table.items():
        assert row["ok"] > 0 or kind == "official"  # whose networks are too large to be made here
        assert row["ok"] + row["refused"] == row["inputs"]
