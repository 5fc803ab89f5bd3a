"""`train-transfer`: what it writes, what it says, what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from autolink_gen import load_transfer
from autolink_gen.checkpoints import save_model
from autolink_gen.cli.main import cli
from autolink_gen.data.video_writing import VideoWriter
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig

SETTINGS = (
    "model.width=0.05",
    "model.appearance_width=0.05",
    "loss.discriminator_width=0.02",
    "perceptual.features=random",
    "training.log_every=1",
    "progress.pictures=2",
)


def run(*arguments: str, expect: int = 0) -> Result:
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == expect, result.output
    return result


def train(*arguments: str, expect: int = 0) -> Result:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return run("train-transfer", "--recipe", "cpu", *settings, "--batch-size", "2", *arguments, expect=expect)


def write_clip(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps=25) as writer:
        for number in range(4):
            frame = np.full((64, 64, 3), shade, np.uint8)
            frame[10 * number : 10 * number + 16, 20:40] = 255 - shade
            writer.write(frame)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a graph run, VoxCeleb2's layout, and a transfer run of two steps on it."""
    folder = tmp_path_factory.mktemp("place")
    torch.manual_seed(0)
    graph = AutoLink(AutoLinkConfig(num_keypoints=3, image_size=64, width=0.05, sigma2=1e-2))
    (folder / "runs/graph/heads").mkdir(parents=True)
    save_model(folder / "runs/graph/heads/model.safetensors", graph)
    (folder / "runs/graph/heads/config.yaml").write_text("data: {name: faces68}\n")
    for number, part in enumerate(("dev/mp4/id1/a", "dev/mp4/id2/b", "test/mp4/id3/c")):
        write_clip(folder / "voxceleb2" / part / "00001.mp4", 60 + 40 * number)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = train("--data", "voxceleb2", "--data-root", str(folder), "--steps", "2")
    assert "graph: runs/graph/heads (3 keypoints, the newest run)" in result.output
    assert "note: that graph was learned on faces68, and the network is trained on voxceleb2" in result.output
    assert "wrote runs/transfer/voxceleb2/model.safetensors" in result.output
    assert "next: autolink-gen transfer SOURCE DRIVER --model runs/transfer/voxceleb2" in result.output
    return folder


@pytest.fixture
def here(place, monkeypatch) -> Path:
    monkeypatch.chdir(place)
    return place


def test_what_a_run_holds(here):
    names = {path.name for path in Path("runs/transfer/voxceleb2").iterdir()}
    assert {"config.yaml", "metrics.jsonl", "model.safetensors", "graph.safetensors", "grid.png", "l1.png"} <= names
    assert load_transfer("runs/transfer/voxceleb2").graph.config.num_keypoints == 3


def test_repeating_goes_on(here):
    output = train("--data", "voxceleb2", "--data-root", str(here), "--steps", "3").output
    assert "graph: runs/transfer/voxceleb2/graph.safetensors, the run's own" in output
    assert "going on from step 2 of 3" in output


def test_a_folder_of_videos_and_the_default_puppets(here):
    output = train("--data", str(here / "voxceleb2" / "dev"), "--steps", "1", "--name", "mine", "--no-mirror").output
    assert "wrote runs/transfer/mine/grid.png" in output
    assert "flip: 0.0" in Path("runs/transfer/mine/config.yaml").read_text()
    assert "run: runs/transfer/puppets" in train("--steps", "1").output


def test_a_dry_run_counts_parameters(here, tmp_path, monkeypatch):
    assert "num_keypoints: 3" in train("--dry-run").output
    monkeypatch.chdir(tmp_path)
    output = run("train-transfer", "--recipe", "paper", "--dry-run").output
    assert "# no graph yet: autolink-gen learn-graph makes one" in output
    assert "#   decoder" in output and "image_size: 128" in output
    assert not (tmp_path / "runs").exists()


def test_without_a_graph_the_command_to_type_is_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = train("--steps", "1", expect=1)
    assert result.output == "Error: there is no finished run in runs/graph; make one: autolink-gen learn-graph\n"


def test_pictures_are_no_clips(here, tmp_path):
    (tmp_path / "notes.txt").touch()
    refused = train("--data", str(tmp_path), "--steps", "1", expect=1)
    assert "no clips in" in refused.output and "1 x .txt" in refused.output


def test_a_gan_is_no_transfer_network(here):
    with pytest.raises(ValueError, match="holds a graph model, not a transfer model; autolink-gen train-transfer"):
        load_transfer("runs/graph/heads")
