"""`train-gan` and `evaluate --gan`: what they write, what they refuse."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import run_cli
from helpers.messages import assert_line_mentions, assert_mentions, one_line
from helpers.tiny_train_gan import Squares, make_gan_run, make_graph, train
from PIL import Image

import autolink_gen
from autolink_gen import load_gan
from autolink_gen.common.progress import no_progress
from autolink_gen.data.sources.folder import SourceOfFiles
from autolink_gen.evaluation.gan import GanScores, Structure
from autolink_gen.evaluation.gan_runs import gan_lines
from autolink_gen.training.engine import Run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_gan_run(tmp_path_factory.mktemp("place"))


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
    assert "3 images" in refused.output and "give at least 8" in refused.output
    assert not Path("runs/gan/few").exists()


def test_scores_of_a_gan(here, monkeypatch):
    from autolink_gen.evaluation import gan_runs
    from autolink_gen.losses.perceptual import RandomFeatures

    network = RandomFeatures()
    monkeypatch.setattr(gan_runs, "vgg16_features", lambda: lambda x: network(x)[-1].mean((2, 3)))
    monkeypatch.setattr(gan_runs, "load_lpips", Squares)
    output = run_cli("evaluate", "puppets", "--max-test", "12", "--witness", "puppets-k3").output
    assert "held-out images of puppets" in output
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
    assert "--protocol is for graphs" in run_cli("evaluate", "runs/gan/puppets", "--protocol", "cub", expect=2).output
    assert "--witness is for GANs" in run_cli("evaluate", "puppets-k3", "--witness", "puppets-k3", expect=2).output
