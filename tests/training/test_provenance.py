"""Where a run comes from: comments in its file of settings, which nothing else reads."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from helpers.messages import assert_mentions
from helpers.tiny_runs import tiny_run_config

from autolink_gen.config import GraphRunConfig
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.provenance import earlier_lines


def train(folder: Path, command: str = "", *, steps: int, **changes: object) -> None:
    config: GraphRunConfig = tiny_run_config("graph", steps=steps, save_every=1)
    train_graph(config, Launch(folder=folder, devices=1, progress=False, command=command, **changes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "run"
    train(place, "autolink-gen learn-graph --data 'my photos'", steps=1)
    train(place, "autolink-gen learn-graph --steps 2", steps=2)
    return place


def test_each_start_is_a_comment_with_versions_device_and_command(folder: Path) -> None:
    begun, went_on = earlier_lines(folder / "config.yaml")
    assert re.match(r"# begun \d{4}-\d\d-\d\d \d\d:\d\d UTC, autolink-gen ", begun)
    assert begun.endswith(": autolink-gen learn-graph --data 'my photos'")
    assert_mentions(begun, f"torch {torch.__version__}", "cpu")
    assert_mentions(went_on, "went on", "step 1", "--steps 2")


def test_comments_are_no_settings(folder: Path) -> None:
    assert "command" not in yaml.safe_load((folder / "config.yaml").read_text())
    assert (folder / "config.yaml").read_text().startswith("# begun ")


def test_a_finished_run_that_is_repeated_keeps_its_comments(folder: Path) -> None:
    before = earlier_lines(folder / "config.yaml")
    train(folder, "once more", steps=2)
    assert earlier_lines(folder / "config.yaml") == before


def test_a_command_is_one_line_without_logins(tmp_path: Path) -> None:
    train(tmp_path / "run", "learn-graph\n--data https://me:secret@host/a.tar?key=secret\nlr: 1", steps=1)
    text = (tmp_path / "run" / "config.yaml").read_text()
    assert "secret" not in text and "https://host/a.tar" in text
    assert "lr: 1" in earlier_lines(tmp_path / "run" / "config.yaml")[0]


def test_a_run_that_is_resumed_for_ever_keeps_its_first_and_newest_lines(tmp_path: Path) -> None:
    train(tmp_path / "run", "first", steps=1)
    file = tmp_path / "run" / "config.yaml"
    first = earlier_lines(file)
    file.write_text("\n".join([*first, *(f"# went on at {number}" for number in range(100)), file.read_text()]))
    train(tmp_path / "run", "newest", steps=2)
    lines = earlier_lines(file)
    assert len(lines) == 20 and lines[0] == first[0] and lines[-1].endswith(": newest")
    assert "# went on at 99" in lines and "# went on at 0" not in lines


def test_a_run_that_starts_anew_has_one_line(tmp_path: Path) -> None:
    train(tmp_path / "run", steps=1)
    train(tmp_path / "run", "anew", steps=1, fresh=True)
    (line,) = earlier_lines(tmp_path / "run" / "config.yaml")
    assert line.startswith("# begun ") and line.endswith(": anew")
