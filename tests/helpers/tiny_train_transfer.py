"""A tiny `autolink-gen train-transfer` for tests of commands, and a folder with its run."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from autolink_gen.checkpoints import save_model
from autolink_gen.data.video.writer import VideoWriter
from helpers.cli import run_cli
from helpers.messages import assert_line_mentions
from helpers.tiny_models import tiny_graph

SETTINGS = (
    "model.width=0.05",
    "model.appearance_width=0.05",
    "weights.discriminator_width=0.02",
    "perceptual.features=random",
    "training.log_every=1",
    "progress.pictures=2",
)


def train(*arguments: str, expect: int = 0) -> Result:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return run_cli("train-transfer", "--recipe", "cpu", *settings, "--batch-size", "2", *arguments, expect=expect)


def write_clip(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps=25) as writer:
        for number in range(4):
            frame = np.full((64, 64, 3), shade, np.uint8)
            frame[10 * number : 10 * number + 16, 20:40] = 255 - shade
            writer.write(frame)


def make_transfer_run(folder: Path) -> Path:
    """The folder, with a graph run, VoxCeleb2's layout, and a transfer run of two steps on it."""
    graph = tiny_graph(sigma2=1e-2)
    (folder / "runs/graph/heads").mkdir(parents=True)
    save_model(folder / "runs/graph/heads/model.safetensors", graph)
    (folder / "runs/graph/heads/config.yaml").write_text("data: {name: faces68}\n")
    for number, part in enumerate(("dev/mp4/id1/a", "dev/mp4/id2/b", "test/mp4/id3/c")):
        write_clip(folder / "voxceleb2" / part / "00001.mp4", 60 + 40 * number)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = train("--data", "voxceleb2", "--data-root", str(folder), "--steps", "2")
    assert "graph: runs/graph/heads (3 keypoints, the newest run)" in result.output
    assert_line_mentions(result, "note", "graph", "faces68", "network", "voxceleb2")
    assert "wrote runs/transfer/voxceleb2/model.safetensors" in result.output
    assert_line_mentions(result, "next", "autolink-gen transfer", "--model runs/transfer/voxceleb2")
    return folder
