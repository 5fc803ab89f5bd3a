"""`train-gan`, `generate` and `evaluate --gan`: what they write, what they say, what they refuse."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from helpers.cli import run_cli
from helpers.messages import assert_line_mentions, assert_mentions, one_line
from PIL import Image

import autolink_gen
from autolink_gen import load_gan
from autolink_gen.checkpoints import save_model
from autolink_gen.cli.main import cli
from autolink_gen.common.progress import no_progress
from autolink_gen.data.sources.folder import SourceOfFiles
from autolink_gen.data.video.reader import VideoReader
from autolink_gen.data.video.writer import VideoWriter
from autolink_gen.evaluation.gan import GanScores, Structure
from autolink_gen.evaluation.gan_runs import gan_lines
from autolink_gen.inference import generate as generate_module
from autolink_gen.inference.poses import PoseEdits
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.training.engine import Run

SETTINGS = ("model.width=0.02", "model.style_size=8", "training.log_every=1", "progress.pictures=0")


def train(*arguments: str, expect: int = 0) -> Result:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return run_cli("train-gan", "--recipe", "cpu", *settings, *arguments, expect=expect)


def make_graph(folder: Path, *, seed: int = 0, learned_on: str = "puppets", **changes) -> None:
    torch.manual_seed(seed)
    config = AutoLinkConfig(**{"num_keypoints": 3, "image_size": 64, "width": 0.05, "sigma2": 1e-2, **changes})
    folder.mkdir(parents=True)
    save_model(folder / "model.safetensors", AutoLink(config))
    (folder / "config.yaml").write_text(f"data: {{name: {learned_on}}}\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a graph run and a GAN run of two steps, on puppets."""
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_graph(Path("runs/graph/puppets-k3"))
        result = train("--steps", "2", "--batch-size", "2")
    assert_line_mentions(result, "graph", "runs/graph/puppets-k3", "3 keypoints", "newest run", "this data")
    assert "note:" not in result.output
    assert "wrote runs/gan/puppets/model.safetensors" in result.output
    assert "next: autolink-gen generate --model runs/gan/puppets" in result.output
    return folder


@pytest.fixture
def here(place, monkeypatch) -> Path:
    monkeypatch.chdir(place)
    return place


def test_without_a_graph_the_command_to_type_is_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = train("--steps", "1", expect=1)
    assert_mentions(one_line(result), "runs/graph", "no finished run", "autolink-gen learn-graph")


def test_a_dry_run_counts_parameters_with_and_without_a_graph(here, tmp_path, monkeypatch):
    output = train("--dry-run").output
    assert "num_keypoints: 3" in output
    monkeypatch.chdir(tmp_path)
    alone = run_cli("train-gan", "--recipe", "paper", "--dry-run").output
    assert_line_mentions(alone, "no graph", "autolink-gen learn-graph")
    rows = {line.split()[1]: line.split()[-1] for line in alone.splitlines() if line.startswith("#   ")}
    assert rows["mapping"] == "197,376" and rows["to_picture"] == "1,731"
    assert "image_size: 128" in alone and "start" not in rows
    learned = run_cli("train-gan", "--recipe", "paper", "--set", "model.learned_start=true", "--dry-run").output
    assert "#   start                    32,768" in learned
    assert not (tmp_path / "runs").exists()


def test_repeating_goes_on_with_the_run_s_own_graph(here):
    make_graph(Path("runs/graph/newer"), seed=1)
    result = train("--steps", "3", "--batch-size", "2")
    assert "graph: runs/gan/puppets/graph.safetensors, the run's own" in result.output
    assert "going on from step 2 of 3" in result.output
    refused = train("--steps", "4", "--batch-size", "2", "--graph", "newer", expect=1)
    assert_line_mentions(refused, "another graph", "--graph")


def test_another_number_of_keypoints_is_refused(here):
    make_graph(Path("runs/graph/four"), num_keypoints=4)
    refused = train("--steps", "4", "--batch-size", "2", "--graph", "four", expect=1)
    assert "graph.num_keypoints was 3, now 4" in refused.output


def test_a_graph_of_another_size_is_refused(here):
    make_graph(Path("runs/graph/large"), image_size=128)
    refused = train("--steps", "1", "--graph", "large", "--image-size", "64", "--name", "new", expect=1)
    assert_line_mentions(refused, "graph", "learned", 128, 64)
    assert not Path("runs/gan/new").exists()


def test_a_graph_of_other_pictures_gets_a_note(here):
    make_graph(Path("runs/graph/cats"), learned_on="afhq/cat")
    output = train("--steps", "1", "--batch-size", "2", "--graph", "cats", "--name", "mixed").output
    assert_line_mentions(output, "note", "graph", "afhq/cat", "GAN", "puppets")


def test_a_graph_that_has_seen_the_data_is_taken_before_newer_ones(here):
    make_graph(Path("runs/graph/own"), learned_on="puppets")
    for number, learned_on in enumerate(("afhq/cat", "")):
        folder = Path(f"runs/graph/newer{number}")
        make_graph(folder, learned_on=learned_on)
        later = (Path("runs/graph/own/model.safetensors").stat().st_mtime + number + 1,) * 2
        os.utime(folder / "model.safetensors", later)
    output = train("--steps", "1", "--batch-size", "2", "--name", "chosen").output
    assert_line_mentions(output, "graph", "runs/graph/own", "3 keypoints", "newest run", "this data")
    assert "note:" not in output


def test_folders_are_compared_in_full(here, afhq):
    cats, dogs = (afhq / "afhq" / "train" / name for name in ("cat", "dog"))
    make_graph(Path("runs/graph/photos"), learned_on=str(cats))
    given = ("--steps", "1", "--batch-size", "2", "--graph", "photos")
    assert "note:" not in train(*given, "--data", str(cats)).output
    assert_line_mentions(train(*given, "--data", str(dogs)), "note", "graph", cats)


@pytest.mark.parametrize("learned_on", ["{root}/afhq/train", "{root}/afhq", "afhq", "afhq+puppets"])
def test_a_set_is_known_by_its_name_and_its_folder(here, afhq, learned_on):
    folder = Path("runs/graph") / learned_on.replace("/", "-")
    make_graph(folder, learned_on=learned_on.format(root=afhq))
    given = ("--steps", "1", "--batch-size", "2", "--graph", folder.name, "--fresh")
    assert "note:" not in train(*given, "--data", "afhq", "--data-root", str(afhq)).output


def test_a_run_that_is_interrupted_ends_with_the_shell_s_code(here, monkeypatch):
    plain = Run.update

    def update(self, loss, **kwargs):
        os.kill(os.getpid(), signal.SIGINT)
        return plain(self, loss, **kwargs)

    monkeypatch.setattr(Run, "update", update)
    output = train("--steps", "3", "--batch-size", "2", "--name", "interrupted", expect=130).output
    assert_line_mentions(output, "SIGINT", "step 1 of 3", "repeat")
    assert "wrote runs/gan/interrupted/model.safetensors" in output


@pytest.fixture
def afhq(tmp_path) -> Path:
    """AFHQ's layout, with nine cats and nine dogs and one of each held out."""
    for split, count in (("train", 9), ("val", 1)):
        for name, value in (("cat", 60), ("dog", 180)):
            folder = tmp_path / "afhq" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.new("RGB", (70, 70), (value, 20 * index, 90)).save(folder / f"{index}.jpg")
    return tmp_path


def test_classes_of_afhq(here, afhq):
    given = ("--data", "afhq", "--data-root", str(afhq), "--steps", "1", "--batch-size", "2", "--graph", "puppets-k3")
    train(*given, "--classes", "cat", "--mirror", "--gamma", "0.5")
    assert load_gan("runs/gan/afhq-cat").poses.shape == (8, 3, 2)
    config = Path("runs/gan/afhq-cat/config.yaml").read_text()
    assert "flip: 0.5" in config and "gamma: 0.5" in config
    train(*given, "--classes", "cat,dog")
    refused = train(*given, "--classes", "cat,horse", expect=1)
    assert_line_mentions(refused, "horse", "cat", "dog")


def test_the_mean_pose_is_that_of_the_classes_trained_on(here, afhq, monkeypatch):
    given = ("--data", "afhq", "--data-root", str(afhq), "--graph", "puppets-k3", "--steps", "1", "--batch-size", "2")
    train(*given, "--classes", "cat", "--name", "cats")
    plain, seen = SourceOfFiles.images, []

    def images(*args, **kwargs):
        seen.append(plain(*args, **kwargs))
        return seen[-1]

    monkeypatch.setattr(SourceOfFiles, "images", images)
    run_cli("view-graph", "runs/gan/cats", "--data-root", str(afhq))
    assert [len(dataset) for dataset in seen] == [9]


def test_three_pictures_are_too_few(here, tmp_path):
    for index in range(3):
        Image.new("RGB", (64, 64)).save(tmp_path / f"{index}.png")
    refused = train("--data", str(tmp_path), "--graph", "puppets-k3", "--name", "few", expect=1)
    assert "3 pictures" in refused.output and "give at least 8" in refused.output
    assert not Path("runs/gan/few").exists()


# ---- generate ----


def generate(*arguments: str, expect: int = 0) -> Result:
    return run_cli("generate", "--model", "runs/gan/puppets", *arguments, expect=expect)


def test_pictures_and_their_grid(here, tmp_path):
    output = generate("--seeds", "0,5", "--out", str(tmp_path)).output
    assert f"wrote 16 pictures to {tmp_path}" in output
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
    assert "wrote 3 pictures" in output


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
@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_videos_between_styles_and_poses(here, tmp_path, what, ending):
    file = tmp_path / f"way.{ending}"
    output = generate("--interpolate", what, "--frames", "5", "--out", str(file)).output
    assert f"wrote {file} (5 frames)" in output
    assert len(list(VideoReader(file))) == 5


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
    times = [frame.time_s for frame in VideoReader(tmp_path / "moving.mp4").timed()]
    assert times == pytest.approx([0, 0.1, 0.5], abs=0.01)
    assert VideoReader(tmp_path / "moving.mp4").length_s == pytest.approx(1.0, abs=0.02)


def test_a_call_paints_what_the_command_paints(here, tmp_path):
    generate("--seeds", "3-4", "--move", "1:+0.4,-0.2", "--out", str(tmp_path / "command"))
    edits = PoseEdits(moves=((1, 0.4, -0.2),))
    given = {"seeds": [3, 4], "edits": edits, "progress": no_progress}
    report = autolink_gen.generate("puppets", out=tmp_path / "call", **given)
    assert len(report.files) == 17 and report.lines[0] == f"wrote 16 pictures to {tmp_path / 'call'}"
    for file in report.files:
        assert file.read_bytes() == (tmp_path / "command" / file.name).read_bytes()
    grid = autolink_gen.generate("runs/gan/puppets", out=tmp_path / "one.png", **given)
    assert grid.files == (tmp_path / "one.png",)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "command" / "grid.png").read_bytes()
    with pytest.raises(ValueError, match="not both"):
        autolink_gen.generate("puppets", seeds=[1], style=2)
    with pytest.raises(ValueError, match="names no style"):
        autolink_gen.generate("puppets", seeds=[])


def test_the_style_of_a_picture(here, tmp_path, monkeypatch):
    monkeypatch.setattr(generate_module, "load_lpips", Squares)
    Image.new("RGB", (80, 64), (200, 30, 30)).save(tmp_path / "red.png")
    generate("--style", str(tmp_path / "red.png"), "--steps", "2", "--out", str(tmp_path / "out"))
    assert (tmp_path / "out" / "pose0-red.png").is_file()


class Squares(torch.nn.Module):
    """Stands in for LPIPS, whose weights tests do without."""

    def forward(self, one, other):
        return (one - other).square().mean((1, 2, 3))


@pytest.mark.parametrize(
    ("arguments", "things"),
    [
        (("--style", "1", "--seeds", "0-3"), ("--style", "--seeds", "both")),
        (("--style", "none.png"), ("none.png",)),
        (("--seeds", "x"), ("--seeds", "spans")),
        (("--move", "9:0,0"), ("no keypoint 9", "0 to 2")),
        (("--interpolate", "style", "--style", "1"), ("two styles", "--seeds 0-3")),
        (("--interpolate", "pose", "--out", "a.png"), ("a.png", ".mp4, .mov, .gif")),
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
    assert "runs/gan/puppets/graph.safetensors (3 keypoints)" in shown.output
    assert "laid on a circle" not in shown.output
    assert (tmp_path / "graph" / "graph.png").is_file()


def test_a_graph_run_is_no_gan(here):
    refused = run_cli("generate", "--model", "runs/graph/puppets-k3", expect=1)
    assert_line_mentions(refused, "graph model", "gan model", "autolink-gen train-gan")


# ---- evaluate ----


def test_scores_of_a_gan(here, monkeypatch):
    from autolink_gen.evaluation import gan_runs
    from autolink_gen.losses.perceptual import RandomFeatures

    network = RandomFeatures()
    monkeypatch.setattr(gan_runs, "vgg16_features", lambda: lambda x: network(x)[-1].mean((2, 3)))
    monkeypatch.setattr(gan_runs, "load_lpips", Squares)
    output = run_cli("evaluate", "--gan", "puppets", "--max-test", "12", "--witness", "puppets-k3").output
    assert "held-out pictures of puppets" in output
    assert "structure: keypoints" in output and "fd_vgg16: " in output
    assert_line_mentions(output, "structure", "witness", "keypoints")
    values = json.loads(Path("runs/gan/puppets/evaluation/gan.json").read_text())
    assert values["num_pictures"] == 12
    assert values["witness_percent"] == values["structure_percent"], "it was painted on that very graph"
    assert {"fd_vgg16", "kd_vgg16", "real_fd_vgg16", "structure_percent", "style_same", "diversity"} <= values.keys()
    assert np.asarray(Image.open("runs/gan/puppets/evaluation/gan.png")).shape[1] == 4 + 8 * 132
    report = autolink_gen.evaluate("runs/gan/puppets", max_test=12, progress=no_progress)
    assert (report.structure.percent, report.fd_vgg16) == (values["structure_percent"], values["fd_vgg16"])
    assert report.to_dict() == {name: value for name, value in values.items() if "witness" not in name}
    assert report.witness is None and report.fid is None and report.files == ()


def test_a_kernel_distance_below_zero_is_explained():
    same = Structure(1.0, 4.0)
    report = GanScores(12, same, None, 0.1, 0.2, 0.1, {"fd_vgg16": 3.0, "kd_vgg16": -0.5, "real_kd_vgg16": 0.1})
    lines = gan_lines(report)
    assert_line_mentions(lines, ("12 pictures", "12 images"), "style", "pose", 500)
    assert "fd_vgg16: 3" in lines
    assert_line_mentions("\n".join(lines), "kd_vgg16: -0.5", "0.1", 0, "chance", "difference")


def test_options_of_graphs_are_refused_with_a_gan(here):
    assert "name one run" in run_cli("evaluate", "puppets-k3", "--gan", "puppets", expect=2).output
    assert "--protocol is for graphs" in run_cli("evaluate", "--gan", "puppets", "--protocol", "cub", expect=2).output
    assert "--witness is for GANs" in run_cli("evaluate", "puppets-k3", "--witness", "puppets-k3", expect=2).output
