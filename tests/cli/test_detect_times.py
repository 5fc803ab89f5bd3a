"""`detect` over films: an overlay lasts as long as its film, whatever its times."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers.tiny_models import tiny_graph
from PIL import Image

from autolink_gen.checkpoints import save_model
from autolink_gen.cli.main import cli
from autolink_gen.data.video.reader import VideoReader


@pytest.fixture(scope="module")
def graph_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("graph")
    save_model(folder / "model.safetensors", tiny_graph())
    return folder


def test_an_overlay_holds_its_last_frame_as_its_film_does(graph_run: Path, tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((40, 40, 3), 50 * number, np.uint8)) for number in range(4)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=[100, 100, 100, 1700])
    arguments = ["detect", str(tmp_path / "a.gif"), "--model", str(graph_run), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    (overlay,) = (tmp_path / "out").rglob("*.mp4")
    reader = VideoReader(overlay)
    assert [frame.time_s for frame in reader.timed_frames()] == pytest.approx([0.0, 0.1, 0.2, 0.3], abs=1e-3)
    assert reader.ends_s == pytest.approx(2.0, abs=0.01)
