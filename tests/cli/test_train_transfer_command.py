"""`train-transfer` and `evaluate --transfer`: what they write, what they refuse."""

import json
from pathlib import Path

import pytest
from helpers.cli import run_cli
from helpers.messages import assert_line_mentions, assert_mentions, is_mentioned, one_line, raises_mentioning
from helpers.tiny_train_transfer import make_transfer_run, train, write_clip

from autolink_gen import load_transfer
from autolink_gen.data.video.reader import VideoReader


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_transfer_run(tmp_path_factory.mktemp("place"))


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


def test_a_folder_of_videos_and_the_default_puppets(here, caplog):
    output = train("--data", str(here / "voxceleb2" / "dev"), "--steps", "1", "--name", "mine", "--no-mirror").output
    assert "wrote runs/transfer/mine/grid.png" in output
    assert "flip: 0.0" in Path("runs/transfer/mine/config.yaml").read_text()
    assert_line_mentions(caplog.messages, "no clips", "held out")
    caplog.clear()
    assert "run: runs/transfer/puppets" in train("--steps", "1").output
    assert not is_mentioned(caplog.text, "held out")


def test_a_dry_run_counts_parameters(here, tmp_path, monkeypatch):
    assert "num_keypoints: 3" in train("--dry-run").output
    monkeypatch.chdir(tmp_path)
    output = run_cli("train-transfer", "--recipe", "paper", "--dry-run").output
    assert_line_mentions(output, "no graph", "autolink-gen learn-graph")
    assert "#   decoder" in output and "image_size: 128" in output
    assert not (tmp_path / "runs").exists()


def test_without_a_graph_the_command_to_type_is_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = train("--steps", "1", expect=1)
    assert_mentions(one_line(result), "runs/graph", "no finished run", "autolink-gen learn-graph")


def test_pictures_are_no_clips(here, tmp_path):
    (tmp_path / "notes.txt").touch()
    refused = train("--data", str(tmp_path), "--steps", "1", expect=1)
    assert "no clips in" in refused.output and "1 x .txt" in refused.output


def test_a_gan_is_no_transfer_network(here):
    with raises_mentioning(ValueError, "graph model", "transfer model", "autolink-gen train-transfer"):
        load_transfer("runs/graph/heads")


def test_scores_of_a_transfer_network(here, tmp_path, monkeypatch):
    from autolink_gen.evaluation import transfer_runs

    monkeypatch.setattr(
        transfer_runs, "load_lpips", lambda: lambda a, b: (a - b).square().mean((1, 2, 3), keepdim=True)
    )
    clips = here / "clips"
    for number in range(2):
        write_clip(clips / f"{number}.mp4", 60 + 40 * number)
    given = ("evaluate", "--transfer", "voxceleb2", "--data", str(clips))
    output = run_cli(*given).output
    assert_line_mentions(output, "2 clips", "first frame")
    assert_line_mentions(output, "one clip", "another", "keypoints")
    rows = [line.split() for line in output.splitlines() if line.startswith(("network", "source frame", "nearest"))]
    assert [len(row) for row in rows] == [6, 7, 7]
    values = json.loads(Path("runs/transfer/voxceleb2/evaluation/transfer.json").read_text())
    assert set(values["mean"]) == {"network", "network_nearest", "copy", "nearest"}
    assert values["clips"][0]["num_frames"] == 3
    video = VideoReader("runs/transfer/voxceleb2/evaluation/transfer.mp4")
    assert (video.width, video.num_frames) == (4 + 6 * 132, 3)
    run_cli(*given, "--json", str(tmp_path / "s.json"), "--picture", str(tmp_path / "v.gif"))
    assert (tmp_path / "s.json").is_file() and (tmp_path / "v.gif").is_file()


def test_options_that_do_not_go_with_a_transfer_network(here):
    refused = {
        ("--transfer", "voxceleb2", "--gan", "cats"): "name one run: --gan cats, or --transfer voxceleb2",
        ("heads", "--transfer", "voxceleb2"): "name one run: heads, or --transfer voxceleb2",
        ("--transfer", "voxceleb2", "--protocol", "cub"): "--protocol is for graphs",
        ("--transfer", "voxceleb2", "--witness", "heads"): "--witness is for GANs",
        ("--transfer", "voxceleb2", "--picture", "a.png"): "a.png must end in .mp4 or .gif",
    }
    for arguments, message in refused.items():
        assert message in run_cli("evaluate", *arguments, expect=2).output
