"""What the tests of commands share."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autolink_gen.checkpoints import save_model
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig


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


@pytest.fixture
def tiny_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AutoLink:
    """An untrained network, saved as the run `tiny`; the test's folder is the working folder."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    graph = AutoLink(AutoLinkConfig(num_keypoints=2, image_size=64, width=0.05)).eval()
    save_model(Path("runs/graph/tiny/model.safetensors"), graph)
    return graph
