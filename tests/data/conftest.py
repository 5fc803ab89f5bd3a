"""Data roots that the tests of named data sets share."""

from pathlib import Path

import platformdirs
import pytest
from helpers.picture_files import save_picture


@pytest.fixture
def nobody_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable, an empty settings folder, an empty current folder; gives the settings folder."""
    monkeypatch.delenv("AUTOLINK_GEN_DATA", raising=False)
    settings = tmp_path / "settings"
    monkeypatch.setattr(platformdirs, "user_config_path", lambda name: settings / name)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return settings / "autolink-gen"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with the three named sets of files."""
    base = tmp_path / "sets"
    for name in ("faces68/train/a.jpg", "faces68/train/b.jpg", "faces68/test/c.jpg", "taichi/clip1/0.png",
                 "taichi/clip1/1.png", "taichi/clip2/0.png", "afhq/train/cat/a.jpg", "afhq/train/dog/b.jpg",
                 "afhq/val/cat/c.jpg"):  # fmt: skip
        save_picture(base / name)
    return base
