"""Shapes and types of public signatures are checked while tests run; real data is found or a test skips."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: two processes test side by side

from pathlib import Path

import pytest
from jaxtyping import install_import_hook

_hook = install_import_hook("autolink_gen", "beartype.beartype")


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with real data and reference numbers: AUTOLINK_GEN_SHARED, or ``../shared`` beside the repository."""
    default = Path(__file__).resolve().parents[1].parent / "shared"
    folder = Path(os.environ.get("AUTOLINK_GEN_SHARED", default))
    if not (folder / "reference").is_dir():
        pytest.skip(f"no reference numbers in {folder}: set AUTOLINK_GEN_SHARED")
    return folder
