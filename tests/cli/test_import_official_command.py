"""`autolink-gen import-official`: a checkpoint of the authors becomes a run; nothing is overwritten."""

from functools import partial
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from helpers.messages import assert_line_mentions
from helpers.tiny_models import tiny_graph

from autolink_gen import load_graph_model
from autolink_gen.cli.main import cli
from autolink_gen.models.autolink import AutoLinkConfig
from autolink_gen.models.official_names import official_names
from autolink_gen.runs import RunFolder


@pytest.fixture
def checkpoint(tmp_path, monkeypatch) -> Path:
    """A small checkpoint under the authors' names, in the working folder."""
    monkeypatch.chdir(tmp_path)
    state = tiny_graph(4).state_dict()
    content = {
        "state_dict": {theirs: state[ours] for theirs, ours in official_names().items()},
        "hyper_parameters": {"n_parts": 4, "image_size": 64, "thick": 2e-3},
    }
    torch.save(content, "taichi_k4.ckpt")
    return Path("taichi_k4.ckpt")


def import_official(*arguments: object) -> Result:
    """Run the command, which reads checkpoints at the small one's width."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autolink_gen.checkpoints.AutoLinkConfig", partial(AutoLinkConfig, width=0.05))
        return CliRunner().invoke(cli, ["import-official", *map(str, arguments)])


def test_it_writes_a_run_that_others_find(checkpoint):
    result = import_official(checkpoint)
    assert result.exit_code == 0, result.output
    assert "4 keypoints, 64 pixels, sigma2 0.002\n" in result.output
    assert "wrote runs/graph/taichi_k4/model.safetensors\n" in result.output
    model = load_graph_model(RunFolder.find("taichi_k4", kind="graph"))
    assert (model.config.num_keypoints, model.config.sigma2, model.config.fit) == (4, 2e-3, "stretch")


def test_a_run_that_is_there_is_not_overwritten(checkpoint):
    import_official(checkpoint)
    before = Path("runs/graph/taichi_k4/model.safetensors").stat().st_mtime_ns
    result = import_official(checkpoint)
    assert result.exit_code == 1
    assert_line_mentions(result, "runs/graph/taichi_k4/model.safetensors", "already", "--name")
    assert "--overwrite" in result.output
    assert Path("runs/graph/taichi_k4/model.safetensors").stat().st_mtime_ns == before
    result = import_official(checkpoint, "--name", "again", "--out", "others")
    assert "wrote others/graph/again/model.safetensors" in result.output
    assert Path("others/graph/again/model.safetensors").is_file()


def test_overwrite_replaces_an_import_alone(checkpoint):
    import_official(checkpoint)
    target = Path("runs/graph/taichi_k4/model.safetensors")
    target.write_bytes(b"of an older version")
    assert import_official(checkpoint, "--overwrite").exit_code == 0
    assert load_graph_model(target).config.num_keypoints == 4
    for name in ("config.yaml", "graph.safetensors", "checkpoints/step-00000001/model.safetensors"):
        file = target.parent / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("a run that is trained here")
        target.unlink(missing_ok=True)
        for option in ([], ["--overwrite"]):
            result = import_official(checkpoint, *option)
            assert result.exit_code == 1 and "Error: runs/graph/taichi_k4 holds a run" in result.output
        assert not target.exists()
        file.unlink()
        if file.parent != target.parent:
            file.parent.rmdir()


def test_an_import_is_not_trained_over(checkpoint):
    import_official(checkpoint, "--name", "base")
    target = Path("runs/graph/base/model.safetensors")
    before = target.read_bytes()
    small = ["--set", "model.width=0.05", "--set", "perceptual.features=random", "--set", "perceptual.resize=null"]
    learn = ["learn-graph", "--name", "base", "--steps", "1", "--batch-size", "2", "--image-size", "64", *small]
    result = CliRunner().invoke(cli, learn)
    assert result.exit_code == 1 and "runs/graph/base holds trained weights" in result.output
    assert target.read_bytes() == before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autolink_gen.cli.learn_graph._score_puppets", lambda model: None)
        assert CliRunner().invoke(cli, [*learn, "--fresh"]).exit_code == 0
    assert Path("runs/graph/base.old1/model.safetensors").read_bytes() == before
    assert target.read_bytes() != before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no checkpoint odd.ckpt"),
        (b"", "odd.ckpt is no readable "),
        (b"just text", "odd.ckpt is no readable "),
    ],
)
def test_a_bad_checkpoint_is_one_line(checkpoint, content, message):
    if content is not None:
        Path("odd.ckpt").write_bytes(content)
    result = import_official("odd.ckpt")
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {message}")
    assert result.output.count("\n") == 1
    assert not Path("runs").exists()
