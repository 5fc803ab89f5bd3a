"""Files that once did harm are refused in one line, or read, within the bounds of all files."""

from pathlib import Path

import pytest
from fuzz_checks import check_regressions
from regressions import MODELS, PICTURES, pickles

_ALL = [*PICTURES, *MODELS, *pickles()]


@pytest.mark.parametrize("kind", sorted({one.kind for one in _ALL}))
def test_what_once_did_harm_does_none(kind: str, tmp_path: Path) -> None:
    check_regressions(kind, _ALL, tmp_path)
