"""Texts, lists and tar files that once did harm are refused in one line, or read, within the bounds of all files."""

from pathlib import Path

import pytest
from fuzz_checks import check_regressions
from text_regressions import LOGS, SETS, SHARDS, YAML, json_files

_ALL = [*json_files(), *YAML, *SHARDS, *SETS, *LOGS]


@pytest.mark.parametrize("kind", sorted({one.kind for one in _ALL}))
def test_texts_that_once_did_harm_do_none(kind: str, tmp_path: Path) -> None:
    check_regressions(kind, _ALL, tmp_path)
