"""What is said where a package of an extra is not installed: one line with what to type."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.hidden_packages import hide
from helpers.tiny_learn_graph import SETTINGS
from torch.utils.data import Dataset

from autolink_gen.common.extras import MissingExtraError, needs
from autolink_gen.config import RunLengthConfig
from autolink_gen.evaluation import fid
from autolink_gen.evaluation.equivariance import equivariance
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.models.graph_analysis import cluster_keypoints
from autolink_gen.training.curve import Curve
from autolink_gen.training.launch import Launch
from autolink_gen.training.run_log import RunLog
from autolink_gen.viz import charts

TWO = torch.zeros(4, 2)
CALLS: list[tuple[str, str, Callable[[], object]]] = [
    ("torchmetrics", "eval", lambda: fid.frechet_distance(TWO, TWO)),
    ("torchmetrics", "eval", lambda: fid.kernel_distance(TWO, TWO)),
    ("torchmetrics", "eval", fid.check_installed),
    ("scipy", "eval", lambda: equivariance(AutoLink(AutoLinkConfig(num_keypoints=2)), Dataset())),
    ("sklearn", "eval", lambda: cluster_keypoints(np.ones((4, 4)), 2)),
    ("matplotlib", "plots", lambda: charts.distance_curve([], key="fd", marks={})),
]


def test_another_error_passes() -> None:
    with pytest.raises(KeyError), needs("eval", "SSIM"):
        raise KeyError("a bug")


@pytest.mark.parametrize(("package", "extra", "call"), CALLS)
def test_a_missing_package_is_said_in_one_line_with_pips_command(
    package: str, extra: str, call: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, package)
    with pytest.raises(MissingExtraError) as caught:
        call()
    said = str(caught.value)
    assert isinstance(caught.value, ValueError) and "\n" not in said
    assert said.endswith(f"pip install 'autolink-gen[{extra}]'")


def test_training_goes_on_without_tensorboard_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hide(monkeypatch, "tensorboard", "torch.utils.tensorboard")
    with caplog.at_level(logging.INFO):
        run_log = RunLog(
            tmp_path, RunLengthConfig(steps=4, batch_size=2, log_every=2), first=0, launch=Launch(folder=tmp_path)
        )
        for step in (1, 2, 3, 4):
            run_log.note(step, {"loss": 0.5}, waited_s=0.0, skipped_steps=0)
        run_log.close()
    said = [message for message in caplog.messages if "autolink-gen[tensorboard]" in message]
    assert len(said) == 1 and "metrics.jsonl" in said[0]
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [2, 4]
    assert not list(tmp_path.glob("events.*"))


def test_a_curve_is_kept_without_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hide(monkeypatch, "matplotlib")
    curve = Curve(tmp_path, "fd", marks={"floor": "the floor"})
    curve.begin(floor=1.0)
    for step in (1, 2):
        curve.add(step, 3.0 - step)
    said = [message for message in caplog.messages if "autolink-gen[plots]" in message]
    assert len(said) == 1 and "fd.json" in said[0]
    assert [one.name for one in tmp_path.iterdir()] == ["fd.json"]
    assert json.loads((tmp_path / "fd.json").read_text())["curve"] == [{"step": 1, "fd": 2.0}, {"step": 2, "fd": 1.0}]


HIDDEN = ("h5py", "matplotlib", "optuna", "scipy", "sklearn", "tensorboard", "torchmetrics")
PROGRAM = """
import sys

class But:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {hidden!r} else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(But, sys.meta_path)
from autolink_gen.cli.main import cli
for line in {lines!r}:
    cli(line, standalone_mode=False)
assert not set({hidden!r}) & set(sys.modules)
"""


def test_a_plain_installation_learns_shows_and_detects(tmp_path: Path) -> None:
    """The first commands of the README, where no extra is installed."""
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    run = str(tmp_path / "runs" / "graph" / "tiny")
    lines = [
        ["learn-graph", "--recipe", "paper", "--name", "tiny", "--steps", "2", *settings, "--out",
         str(tmp_path / "runs")],
        ["view-graph", run, "--out", str(tmp_path / "seen")],
        ["detect", str(tmp_path / "seen"), "--model", run, "--out", str(tmp_path / "found")],
    ]  # fmt: skip
    code = PROGRAM.format(hidden=HIDDEN, lines=lines)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "pip install 'autolink-gen[tensorboard]'" in ended.stderr
    assert (Path(run) / "graph.png").is_file() and list((tmp_path / "seen").glob("*.png"))
    assert (tmp_path / "found" / "keypoints.csv").is_file()
