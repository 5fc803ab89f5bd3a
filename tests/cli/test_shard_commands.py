"""`autolink-gen data pack`, and the commands that take shards as --data: names of runs, paths kept, refusals."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.cli import run_cli
from helpers.messages import assert_line_mentions, assert_mentions
from PIL import Image

from autolink_gen.data.source import open_source

TINY = (
    "model.width=0.05",
    "model.sigma2=1e-2",
    "perceptual.features=random",
    "perceptual.resize=null",
    "training.batch_size=2",
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: five pictures in `birds`, and their shards."""
    monkeypatch.chdir(tmp_path)
    Path("birds").mkdir()
    for number in range(5):
        noise = np.random.default_rng(number).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(f"birds/{number}.png")
    run("data", "pack", "birds", "birds.tar", "--per-shard", "2")
    return tmp_path


def run(*arguments: object, expect: int = 0) -> str:
    return run_cli(*arguments, expect=expect).output


def learn_graph(data: str, *arguments: object) -> str:
    settings = [word for setting in TINY for word in ("--set", setting)]
    return run("learn-graph", "--recipe", "paper", "--image-size", 64, "--num-keypoints", 3, "--steps", 2,
               "--data", data, *settings, *arguments)  # fmt: skip


def test_pack_says_what_it_wrote_and_what_to_type_next(home: Path) -> None:
    size = Path("birds/0.png").stat().st_size
    output = run("data", "pack", "birds", "out/b.tar")
    assert output.splitlines() == [
        f"wrote 5 images ({Path('out/b.tar').stat().st_size / 2**20:.1f} MiB) in out/b.tar",
        "next: autolink-gen learn-graph --data out/b.tar",
    ]
    assert Path("out/b.tar").stat().st_size > 5 * size
    output = run("data", "pack", "birds", "out/b.tar", "--per-shard", 2)
    assert "MiB) in 3 shards, out/b-{000000..000002}.tar\n" in output
    assert output.endswith("next: autolink-gen learn-graph --data 'out/b-{000000..000002}.tar'\n")


def test_a_repeated_pack_keeps_the_shards(home: Path) -> None:
    output = run("data", "pack", "birds", "birds.tar", "--per-shard", 2)
    assert output.startswith("kept 5 images (") and "next: autolink-gen learn-graph" in output


def test_pack_names_what_it_leaves_out(home: Path) -> None:
    Path("birds/5.jpg").touch()
    output = run("data", "pack", "birds", "b.tar")
    assert_line_mentions(output, "birds/5.jpg", "empty", "0 bytes")


def test_pack_refuses_in_one_line(home: Path) -> None:
    for arguments, things in (
        (("birds", "birds.tar", "--per-shard", 3), ("birds-000000.tar", "already", "other")),
        (("birds", "birds/b.tar"), ("birds/b.tar", "birds", "packed")),
        (("none", "b.tar"), ("no folder none",)),
    ):
        assert_mentions(run("data", "pack", *arguments, expect=1), "Error", *things)
    assert "wrote 5 images" in run("data", "pack", "birds", "birds.tar", "--per-shard", 4, "--overwrite")
    assert sorted(path.name for path in home.glob("*.tar")) == ["birds-000000.tar", "birds-000001.tar"]


def test_a_run_on_shards_is_named_goes_on_and_is_evaluated(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"run: {Path('runs/graph/birds-k3')}\n" in learn_graph("birds-{000000..000002}.tar")
    settings = yaml.safe_load(Path("runs/graph/birds-k3/config.yaml").read_text())
    assert settings["data"]["name"] == str(home.resolve() / "birds-{000000..000002}.tar")
    assert "finished already, at step 2" in learn_graph("./birds-{000000..000002}.tar")

    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    assert "circle" not in run("view-graph", home / "runs" / "graph" / "birds-k3")
    output = run("evaluate", home / "runs" / "graph" / "birds-k3")
    assert "keypoints of 5 moved images" in output
    output = run("evaluate", home / "runs" / "graph" / "birds-k3", "--data", home / "birds-000000.tar", "--few-shot", 1,
                 expect=1)  # fmt: skip
    assert_line_mentions(output, "shards", "clips", "landmarks", "folder")


def test_a_graph_of_other_shards_is_not_taken_for_one_of_the_same(home: Path) -> None:
    learn_graph("birds-000000.tar", "--name", "one")
    options = ("--recipe", "cpu", "--steps", 1, "--dry-run")
    assert "note:" not in run("train-gan", "--data", "birds-000000.tar", *options)
    assert_line_mentions(run("train-gan", "--data", "birds-000001.tar", *options), "note", "graph", "birds-000000.tar")


def test_pose_transfer_asks_for_clips(home: Path) -> None:
    learn_graph("birds-000000.tar")
    output = run("train-transfer", "--data", "birds-000000.tar", "--recipe", "cpu", "--steps", 1, expect=1)
    assert_line_mentions(output, "birds-000000.tar", "shards", "clips", "folder")


@pytest.mark.parametrize(
    ("data", "label"),
    [
        ("birds-{000000..000002}.tar", "birds"),
        ("birds-*.tar", "birds"),
        ("birds-000000.tar", "birds-000000"),
        ("/a/birds/train-{0..9}.tar", "birds-train"),
        ("https://host/birds/pics-{0..9}.tar?key=1", "pics"),
        ("faces68+birds-*.tar", "faces68+birds"),
        (".", "HOME"),
    ],
)
def test_what_runs_on_shards_are_called(home: Path, data: str, label: str) -> None:
    assert open_source(data).label == label.replace("HOME", home.name)


def test_paths_of_shards_are_kept_whole(home: Path) -> None:
    whole = str(home.resolve())
    assert open_source("birds-*.tar+faces68").full_name == f"{whole}/birds-*.tar+faces68"
    assert open_source("birds-000000.tar").full_name == f"{whole}/birds-000000.tar"
    assert open_source("https://host/a.tar").full_name == "https://host/a.tar"
    assert open_source(".").full_name == whole
