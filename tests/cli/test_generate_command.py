"""`autolink-gen generate`: what it paints and writes, what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from helpers.cli import run_cli
from helpers.messages import assert_line_mentions, assert_mentions, one_line, raises_mentioning
from helpers.tiny_train_gan import Squares, make_gan_run
from PIL import Image

import autolink_gen
from autolink_gen import load_gan
from autolink_gen.cli.main import cli
from autolink_gen.common.progress import no_progress
from autolink_gen.data.video.animated_images import open_video
from autolink_gen.data.video.reader import VideoReader
from autolink_gen.data.video.writer import VideoWriter
from autolink_gen.inference import generate as generate_module
from autolink_gen.inference.poses import PoseEdits
from autolink_gen.inference.styles import StyleMix


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_gan_run(tmp_path_factory.mktemp("place"))


@pytest.fixture
def here(place, monkeypatch) -> Path:
    monkeypatch.chdir(place)
    return place


def generate(*arguments: str, expect: int = 0) -> Result:
    return run_cli("generate", "--model", "runs/gan/puppets", *arguments, expect=expect)


def test_pictures_and_their_grid(here, tmp_path):
    output = generate("--seeds", "0,5", "--out", str(tmp_path)).output
    assert f"wrote 16 images to {tmp_path}" in output
    names = {path.name for path in tmp_path.iterdir()}
    assert {"pose0-seed0.png", "pose7-seed5.png", "grid.png"} <= names and len(names) == 17
    assert np.asarray(Image.open(tmp_path / "pose0-seed0.png")).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("arguments", "taken", "more"),
    [
        (("--seeds", "0-1"), "pose3-seed1.png", ()),
        (("--seeds", "0"), "grid.png", ()),
        (("--grid", "rows=seeds,cols=poses", "--seeds", "0"), "grid.png", ()),
        (("--interpolate", "pose", "--frames", "3", "--style", "1"), "pose.mp4", ()),
        (("--from", "film.mp4", "--seeds", "0-1"), "film-seed1.mp4", ("film-seed0.mp4",)),
        (("--style", "red.png", "--steps", "1"), "pose0-red.png", ()),
    ],
)
def test_nothing_that_was_painted_is_replaced_unasked(here, tmp_path, monkeypatch, arguments, taken, more):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    with VideoWriter(tmp_path / "film.mp4", fps=5) as writer:
        writer.write(np.full((64, 64, 3), 90, np.uint8))
    given = [str(tmp_path / one) if one in ("red.png", "film.mp4") else one for one in arguments]
    out = tmp_path / "out"
    out.mkdir()
    (out / taken).write_text("mine")
    painted = []
    for method in ("paint", "invert"):
        monkeypatch.setattr(generate_module.Gan, method, lambda *args, **options: painted.append(1))
    refused = generate(*given, "--out", str(out), expect=1)
    assert_line_mentions(refused, out / taken, "already", "--out", "--overwrite")
    assert [one.name for one in out.iterdir()] == [taken] and (out / taken).read_text() == "mine" and not painted
    if "red.png" not in arguments:  # the search takes long
        monkeypatch.undo()
        monkeypatch.chdir(here)
        generate(*given, "--out", str(out), "--overwrite")
        assert (out / taken).read_bytes() != b"mine" and all((out / one).is_file() for one in more)


def test_poses_of_one_name_are_painted_into_files_of_their_own(here, tmp_path):
    points = [[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]]
    record = {"frame": 0, "time_s": None, "width_px": 11, "height_px": 11, "keypoints_px": points}
    files = ("a/cat.jpg", "b/cat.jpg", "b/CAT.jpg")
    (tmp_path / "found.json").write_text(json.dumps({"pictures": [{"file": one, **record} for one in files]}))
    output = generate("--from", str(tmp_path / "found.json"), "--seeds", "1", "--out", str(tmp_path / "out")).output
    names = {one.name for one in (tmp_path / "out").iterdir()}
    assert names == {"cat-0-seed1.png", "cat-0-seed1-2.png", "CAT-0-seed1-3.png", "grid.png"}
    assert "wrote 3 images" in output


def test_several_files_give_poses_in_their_order(here, tmp_path):
    for name in ("red", "blue"):
        Image.new("RGB", (64, 64), name).save(tmp_path / f"{name}.png")
    files = ("--from", str(tmp_path / "red.png"), "--from", str(tmp_path / "blue.png"))
    generate(*files, "--seeds", "1", "--out", str(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"red-seed1.png", "blue-seed1.png", "grid.png"}
    with VideoWriter(tmp_path / "film.mp4", fps=5) as writer:
        writer.write(np.full((64, 64, 3), 90, np.uint8))
    refused = generate(*files, "--from", str(tmp_path / "film.mp4"), "--out", str(tmp_path / "other"), expect=1)
    assert_line_mentions(refused, tmp_path / "film.mp4", "video", "alone")


def test_a_seed_paints_the_same_whatever_else_is_painted(here, tmp_path):
    generate("--seeds", "3-5", "--out", str(tmp_path / "a"))
    generate("--style", "4", "--out", str(tmp_path / "b"))
    one, other = (np.asarray(Image.open(tmp_path / name / "pose2-seed4.png")) for name in "ab")
    assert np.abs(one.astype(int) - other).max() <= 1


@pytest.mark.parametrize("layout", ["rows=seeds,cols=poses", "rows=poses,cols=seeds"])
def test_a_grid_of_changed_poses(here, tmp_path, layout):
    file = tmp_path / "grid.png"
    changes = ("--move", "1:+0.4,-0.2", "--swap", "0,2", "--remove", "2")
    output = generate("--grid", layout, "--seeds", "0-1", *changes, "--out", str(file)).output
    assert_line_mentions(output, file, "2 styles", "8 poses", "before", "after")
    height, width, _ = np.asarray(Image.open(file)).shape
    cells = (3, 16) if layout == "rows=seeds,cols=poses" else (16, 3)
    assert (height // 132, width // 132) == cells, "the rest is titles"


@pytest.mark.parametrize("what", ["style", "pose"])
@pytest.mark.parametrize("ending", ["gif", "mp4", "webp"])
def test_videos_between_styles_and_poses(here, tmp_path, what, ending):
    file = tmp_path / f"way.{ending}"
    output = generate("--interpolate", what, "--frames", "5", "--out", str(file)).output
    assert f"wrote {file} (5 frames)" in output
    assert len(list(open_video(file))) == 5


def test_the_pose_of_a_picture_a_video_and_numbers(here, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (66, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cat.png")
    generate("--from", str(tmp_path / "cat.png"), "--style", "1", "--out", str(tmp_path / "a"))
    assert (tmp_path / "a" / "cat-seed1.png").is_file()
    with VideoWriter(tmp_path / "film.mp4", fps=10) as writer:
        for _ in range(3):
            writer.write(pixels)
    generate("--from", str(tmp_path / "film.mp4"), "--seeds", "0-1", "--out", str(tmp_path / "b"))
    videos = sorted((tmp_path / "b").iterdir())
    assert [path.name for path in videos] == ["film-seed0.mp4", "film-seed1.mp4"]
    assert len(list(VideoReader(videos[0]))) == 3
    (tmp_path / "keypoints.json").write_text(json.dumps({"keypoints": [[0, 0], [0.5, 0], [0, 0.5]]}))
    generate("--from", str(tmp_path / "keypoints.json"), "--style", "1", "--out", str(tmp_path / "c"))
    assert (tmp_path / "c" / "keypoints-seed1.png").is_file()


def test_a_picture_that_moves_is_painted_at_its_own_times(here, tmp_path):
    frames = [Image.new("RGB", (64, 64), (shade, 90, 30)) for shade in (0, 120, 240)]
    frames[0].save(tmp_path / "cat.webp", save_all=True, append_images=frames[1:], duration=[100, 400, 500])
    generate("--from", str(tmp_path / "cat.webp"), "--style", "1", "--out", str(tmp_path / "moving.mp4"))
    times = [frame.time_s for frame in VideoReader(tmp_path / "moving.mp4").timed_frames()]
    assert times == pytest.approx([0, 0.1, 0.5], abs=0.01)
    assert VideoReader(tmp_path / "moving.mp4").length_s == pytest.approx(1.0, abs=0.02)


def test_a_call_paints_what_the_command_paints(here, tmp_path):
    generate("--seeds", "3-4", "--move", "1:+0.4,-0.2", "--out", str(tmp_path / "command"))
    edits = PoseEdits(moves=((1, 0.4, -0.2),))
    given = {"seeds": [3, 4], "edits": edits, "progress": no_progress}
    report = autolink_gen.generate("puppets", out=tmp_path / "call", **given)
    assert len(report.files) == 17 and report.lines[0] == f"wrote 16 images to {tmp_path / 'call'}"
    for file in report.files:
        assert file.read_bytes() == (tmp_path / "command" / file.name).read_bytes()
    grid = autolink_gen.generate("runs/gan/puppets", out=tmp_path / "one.png", **given)
    assert grid.files == (tmp_path / "one.png",)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "command" / "grid.png").read_bytes()
    with pytest.raises(ValueError, match="not both"):
        autolink_gen.generate("puppets", seeds=[1], style=2)
    with pytest.raises(ValueError, match="names no style"):
        autolink_gen.generate("puppets", seeds=[])


def test_two_styles_are_mixed_by_layer(here, tmp_path):
    layers = load_gan("runs/gan/puppets").num_layers
    generate("--mix-styles", "3:7", "--grid", "rows=seeds,cols=poses", "--out", str(tmp_path / "mix.png"))
    generate("--mix-styles", f"3:7@{layers}", "--out", str(tmp_path / "end"))
    generate("--seeds", "3", "--out", str(tmp_path / "plain"))
    for pose in range(8):
        mixed, plain = (tmp_path / f"end/pose{pose}-seed3-{layers}-seed7.png", tmp_path / f"plain/pose{pose}-seed3.png")
        one, other = (np.asarray(Image.open(file)).astype(int) for file in (mixed, plain))
        assert abs(one - other).max() <= 1
    for layout in ("rows=seeds,cols=poses", "rows=poses,cols=seeds"):
        file = tmp_path / f"{layout}.png"
        generate("--mix-styles", "3:7", "--grid", layout, "--out", str(file))
        assert file.is_file()
    generate("--mix-styles", "3:7", "--interpolate", "style", "--frames", "4", "--out", str(tmp_path / "way.gif"))
    with raises_mentioning(ValueError, "mix", "seeds"):
        autolink_gen.generate("puppets", seeds=[1], mix=StyleMix(3, 7), out=tmp_path / "none")


def test_the_style_of_a_picture(here, tmp_path, monkeypatch):
    monkeypatch.setattr(generate_module, "load_lpips", Squares)
    Image.new("RGB", (80, 64), (200, 30, 30)).save(tmp_path / "red.png")
    generate("--style", str(tmp_path / "red.png"), "--steps", "2", "--out", str(tmp_path / "out"))
    assert (tmp_path / "out" / "pose0-red.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "things"),
    [
        (("--style", "1", "--seeds", "0-3"), ("--style", "--seeds", "--mix-styles")),
        (("--mix-styles", "3:7", "--seeds", "0-3"), ("--style", "--seeds", "--mix-styles")),
        (("--mix-styles", "3-7"), ("--mix-styles", "3:7@2")),
        (("--mix-styles", "3:7@99"), ("--mix-styles", 99)),
        (("--style", "none.png"), ("none.png",)),
        (("--seeds", "x"), ("--seeds", "spans")),
        (("--move", "9:0,0"), ("no keypoint 9", "0 to 2")),
        (("--interpolate", "style", "--style", "1"), ("two styles", "--seeds 0-3")),
        (("--interpolate", "pose", "--out", "a.png"), ("a.png", ".mp4, .mov", ".gif", ".webp")),
        (("--interpolate", "pose", "--grid", "rows=seeds,cols=poses"), ("--grid", "--interpolate")),
        (("--out", "a.png"), ("a.png", "folder", "several files")),
        (("--from", "none.json"), ("no file none.json",)),
        (("--out", "runs/gan/puppets/config.yaml/x"), ("config.yaml", "folder", "--out")),
    ],
)
def test_what_generate_refuses(here, arguments, things):
    result = CliRunner().invoke(cli, ["generate", "--model", "runs/gan/puppets", *arguments])
    assert_mentions(one_line(result, exit_code=result.exit_code or 1), *things)


def test_the_numbers_of_keypoints_are_shown_for_a_gan_run(here, tmp_path):
    shown = run_cli("view-graph", "runs/gan/puppets", "--out", str(tmp_path / "graph"))
    assert_line_mentions(shown, "runs/gan/puppets/graph.safetensors", "3 keypoints")
    assert "laid on a circle" not in shown.output
    assert (tmp_path / "graph" / "graph.png").is_file()


def test_a_graph_run_is_no_gan(here):
    refused = run_cli("generate", "--model", "runs/graph/puppets-k3", expect=1)
    assert_line_mentions(refused, "graph model", "gan model", "autolink-gen train-gan")
