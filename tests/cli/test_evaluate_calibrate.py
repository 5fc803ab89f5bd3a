"""`autolink-gen evaluate --calibrate`: a model that has no likelihoods gets them."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from helpers.messages import assert_line_mentions, assert_mentions, one_line
from helpers.tiny_models import tiny_graph
from PIL import Image

from autolink_gen.checkpoints import save_model
from autolink_gen.cli.main import cli


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)])


def test_an_old_model_is_calibrated_and_then_not_complained_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "runs" / "graph" / "old" / "model.safetensors", tiny_graph(4))
    result = evaluate("old", "--calibrate", "new.safetensors", "--data", "puppets", "--max-fit", 16)
    assert result.exit_code == 0, result.output
    assert_line_mentions(result, "16 images", "puppets")
    assert_line_mentions(result, "wrote new.safetensors")
    Image.new("RGB", (64, 64), "red").save("a.png")
    for model, complains in (("old", True), ("new.safetensors", False)):
        caplog.clear()
        arguments = ["detect", "a.png", "--model", model, "--format", "json", "--out", model + "-out"]
        assert CliRunner().invoke(cli, arguments).exit_code == 0
        assert ("--calibrate" in caplog.text) == complains
    refused = evaluate("old", "--calibrate", "newer.safetensors", "--data", "puppets", "--protocol", "faces68")
    assert_mentions(one_line(refused, exit_code=2), "--protocol", "--calibrate")
    assert not Path("newer.safetensors").exists()
