"""`autolink-gen data info` and `data prepare`: named sets."""

import re
import signal
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from helpers.messages import assert_line_mentions
from PIL import Image
from scipy.io import savemat

from autolink_gen.cli.main import cli
from autolink_gen.common.stopping import StoppedError
from autolink_gen.data.published.sets import SETS


def call(*words: str) -> Result:
    return CliRunner().invoke(cli, ["data", *words])


def flowers(root: Path) -> Path:
    home = root / "flowers-102"
    (home / "jpg").mkdir(parents=True)
    for number in (1, 2, 3):
        Image.fromarray(np.full((20, 30, 3), 80 * number, np.uint8)).save(home / f"jpg/image_{number:05d}.jpg")
    savemat(home / "setid.mat", {"trnid": [[1]], "valid": [[]], "tstid": [[2, 3]]})
    return home


def test_all_sets_are_listed():
    result = call("info")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == list(SETS)


@pytest.mark.parametrize("name", list(SETS))
def test_every_set_is_described(name, tmp_path):
    result = call("info", name, "--data-root", str(tmp_path))
    assert result.exit_code == 0 and result.output.startswith(f"{name}: ")
    if name != "puppets":
        assert "here: no" in result.output
        assert_line_mentions(result, "expected", "data root")


def test_what_is_to_be_known_of_a_set():
    text = call("info", "celeba-wild").output
    for part in ("licence: non-commercial research", "size: 10 GB", "train 45,609, fit 5,379, test 283",
                 "list_bbox_celeba.txt", "celeba_wild.h5", "autolink-gen data prepare celeba-wild"):  # fmt: skip
        assert part in text


def test_a_set_is_prepared_found_and_learned_from(tmp_path):
    flowers(tmp_path)
    result = call("prepare", "flowers", "--data-root", str(tmp_path), "--size", "32")
    assert result.exit_code == 0, result.output
    assert f"train: 2 images in {tmp_path}/prepared/flowers/train" in result.output
    assert "published: 6,149; this is another selection" in result.output
    assert f"next: autolink-gen learn-graph --data flowers --data-root {tmp_path}" in result.output
    again = call("prepare", "flowers", "--data-root", str(tmp_path), "--size", "32")
    assert "2 images" in again.output and "2 of them there before" in again.output
    assert f"here: {tmp_path}/prepared/flowers/train" in call("info", "flowers", "--data-root", str(tmp_path)).output
    words = ["learn-graph", "--data", "flowers", "--data-root", str(tmp_path), "--recipe", "cpu", "--steps", "1"]
    small = ["--set", "perceptual.features=random", "--set", "model.width=0.05", "--out", str(tmp_path / "runs")]
    learned = CliRunner().invoke(cli, [*words, *small])
    assert learned.exit_code == 0, learned.output
    assert (tmp_path / "runs/graph/flowers-k8/graph.png").is_file() or list(
        (tmp_path / "runs/graph").glob("*/graph.png")
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("prepare", "puppets"), "puppets needs no preparing"),
        (("prepare", "faces68"), "faces68 needs no preparing"),
        (("prepare", "flower"), "'flower' .*mean flowers"),
        (("info", "nope"), "'nope' is neither"),
        (("prepare", "flowers"), "flowers .*published.* jpg is missing, and 1 more"),
        (("prepare", "deepfashion", "--download"), "torchvision .*download"),
    ],
)
def test_mistakes_are_named(words, message, tmp_path):
    result = call(*words, *(("--data-root", str(tmp_path)) if words[0] == "prepare" else ()))
    assert result.exit_code != 0 and "Traceback" not in result.output
    assert re.search(message, " ".join(result.output.split()))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (StoppedError(signal.SIGTERM), 143)])
@pytest.mark.parametrize(
    ("words", "does"),
    [
        (("prepare", "flowers", "--data-root", "."), "published.prepare.prepare_set"),
        (("prepare-videos", ".", "frames"), "video.prepare.prepare_videos"),
    ],
)
def test_what_stops_it_says_how_to_go_on(words, does, error, code, tmp_path, monkeypatch):
    def stop(*given, **more):
        raise error

    flowers(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"autolink_gen.data.{does}", stop)
    result = call(*words)
    assert result.exit_code == code
    assert_line_mentions(result, "repeat")


def test_an_unreadable_picture_is_reported(tmp_path):
    home = flowers(tmp_path)
    (home / "jpg/image_00002.jpg").write_text("no picture")
    result = call("prepare", "flowers", "--data-root", str(tmp_path))
    assert result.exit_code == 0
    assert_line_mentions(result, "train", ("1 picture", "1 image"))
    assert_line_mentions(result, "image_00002.jpg", ("1 picture", "1 image"), "read")
