"""What the tests of commands share."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six pictures of coloured blobs, beside an empty working folder."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(6):
        pixels = np.random.default_rng(index).integers(0, 255, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((80, 64)).save(folder / f"{index}.jpg")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return folder
