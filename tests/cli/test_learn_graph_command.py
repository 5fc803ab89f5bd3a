"""`autolink-gen learn-graph`: from a folder of pictures to a run, what it says, and how it refuses what is wrong."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from helpers.messages import assert_line_mentions, assert_mentions, one_line, raises_mentioning
from helpers.tiny_learn_graph import learn_graph
from PIL import Image

from autolink_gen import load_graph_model
from autolink_gen.cli.main import cli
from autolink_gen.common.devices import best_precision
from autolink_gen.config import GraphRunConfig, build
from autolink_gen.training import plans
from autolink_gen.training.launch import Launch, share_batch


def test_a_folder_becomes_a_run_that_can_be_used(pictures: Path) -> None:
    result = learn_graph("--data", pictures, "--steps", 2)

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert all(lines), "no empty line"
    folder = Path("runs/graph/photos-k3")
    assert lines[:2] == ["recipe: paper", f"run: {folder}"]
    assert f"wrote {folder}/model.safetensors: the weights to use\n" in result.output
    assert_line_mentions(result, f"{folder}/graph.png", "learned graph")
    assert lines[-1] == f"next: autolink-gen view-graph {folder}; autolink-gen detect IMAGES --model {folder}"
    assert load_graph_model(folder).config.num_keypoints == 3
    assert np.asarray(Image.open(folder / "graph.png")).std() > 20
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    begun = (folder / "config.yaml").read_text().splitlines()[0]
    assert_mentions(begun, "autolink-gen learn-graph", f"--data {pictures} --steps 2")
    config = build(GraphRunConfig, yaml.safe_load((folder / "config.yaml").read_text()))
    assert (config.data.name, config.training.steps, config.model.width) == (str(pictures), 2, 0.05)


@pytest.mark.parametrize(("option", "expected"), [((), None), (("--compile",), True), (("--no-compile",), False)])
def test_networks_are_compiled_as_told(pictures: Path, monkeypatch: pytest.MonkeyPatch, option, expected) -> None:
    seen: list[bool | None] = []

    def train(config: GraphRunConfig, launch: Launch) -> None:
        seen.append(launch.compile)
        raise ValueError("far enough")

    monkeypatch.setattr(plans, "train_graph", train)
    assert_mentions(one_line(learn_graph("--data", pictures, *option)), "far enough")
    assert seen == [expected]


def test_repeating_says_what_it_finds_and_goes_on(pictures: Path) -> None:
    first = learn_graph("--data", pictures, "--steps", 4, "--max-minutes", 1e-6)
    assert_line_mentions(first, "time limit", "step 1 of 4", "repeat")
    second = learn_graph("--data", pictures, "--steps", 4)
    assert "going on from step 1 of 4\n" in second.output
    assert second.exit_code == 0, second.output
    third = learn_graph("--data", pictures, "--steps", 4)
    assert "finished already, at step 4: more --steps go on, --fresh starts anew\n" in third.output
    assert "kept runs/graph/photos-k3/model.safetensors" in third.output
    assert "wrote" not in third.output
    shorter = learn_graph("--data", pictures, "--steps", 3)
    assert_line_mentions(shorter, "step 4", 3, "--steps")
    assert "finished already" not in shorter.output


def test_several_seeds_are_compared(pictures: Path) -> None:
    result = learn_graph("--data", pictures, "--steps", 2, "--seeds", 2, "--seed", 5)
    assert result.exit_code == 0, result.output
    losses = json.loads(Path("runs/graph/photos-k3-seeds.json").read_text())
    assert {one["seed"] for one in losses} == {5, 6}
    assert losses[0]["loss"] < losses[1]["loss"]
    best = f"runs/graph/photos-k3-seed{losses[0]['seed']}"
    assert f"wrote runs/graph/photos-k3-seeds.json; the best is {best}\n" in result.output
    mean = np.mean([one["loss"] for one in losses])
    assert_line_mentions(result, "reconstruction loss", "2 seeds", f"{mean:.4f}", "±")
    again = learn_graph("--data", pictures, "--steps", 2, "--seeds", 2, "--seed", 5)
    assert again.output.count("finished already") == 2
    assert json.loads(Path("runs/graph/photos-k3-seeds.json").read_text()) == losses, "the same pictures and masks"
    assert len({(Path("runs/graph") / f"photos-k3-seed{seed}/model.safetensors").read_bytes() for seed in (5, 6)}) == 2
    other = learn_graph("--data", pictures, "--steps", 2, "--seeds", 2, "--seed", 6)
    assert_mentions(one_line(other), "photos-k3-seeds.json", "other runs", "seed 5")
    assert not Path("runs/graph/photos-k3-seed7").exists(), "before anything is trained"
    assert json.loads(Path("runs/graph/photos-k3-seeds.json").read_text()) == losses
    anew = learn_graph("--data", pictures, "--steps", 1, "--seeds", 2, "--seed", 6, "--fresh")
    assert anew.exit_code == 0, anew.output
    assert json.loads(Path("runs/graph/photos-k3-seeds.json.old1").read_text()) == losses


def test_of_several_seeds_the_best_is_kept(pictures: Path) -> None:
    command = ("--data", pictures, "--steps", 1, "--seeds", 2, "--keep-best")
    result = learn_graph(*command)
    assert result.exit_code == 0, result.output
    losses = json.loads(Path("runs/graph/photos-k3/seeds.json").read_text())
    assert f"kept seed {losses[0]['seed']} as runs/graph/photos-k3, and deleted the others" in result.output
    assert [path.name for path in Path("runs/graph").iterdir()] == ["photos-k3"]
    kept = build(GraphRunConfig, yaml.safe_load(Path("runs/graph/photos-k3/config.yaml").read_text()))
    assert kept.training.seed == losses[0]["seed"]
    assert_line_mentions(learn_graph(*command), "finished already", "runs/graph/photos-k3", "best")
    for other, message in ((("--steps", 3), "training.steps was 1, now 3"),
                           (("--seeds", 3), "the seeds were 0, 1, now 0, 1, 2")):  # fmt: skip
        refused = learn_graph(*command, *other)
        assert refused.exit_code == 1 and message in refused.output and "finished" not in refused.output
    anew = learn_graph(*command, "--steps", 2, "--fresh")
    assert anew.exit_code == 0 and Path("runs/graph/photos-k3.old1/seeds.json").is_file(), anew.output
    assert "at step 2" not in anew.output and "kept seed" in anew.output
    Path("runs/graph/photos-k3/seeds.json").unlink()
    refused = learn_graph(*command)
    assert refused.exit_code == 1 and "runs/graph/photos-k3 exists; choose another --name" in refused.output


@pytest.mark.parametrize(
    ("arguments", "things"),
    [
        (("--keep-best",), ("--keep-best", "--seeds 4")),
        (("--seeds", 2, "--devices", 2), ("--seeds", "one device")),
    ],
)
def test_seeds_that_do_not_go_with_other_options(pictures: Path, arguments: tuple[object, ...], things: tuple) -> None:
    result = learn_graph("--data", pictures, *arguments)
    assert_mentions(one_line(result, exit_code=2), *things)


def test_fresh_moves_the_old_run_aside(pictures: Path) -> None:
    learn_graph("--data", pictures, "--steps", 1, "--name", "mine", "--out", "other")
    result = learn_graph("--data", pictures, "--steps", 1, "--name", "mine", "--out", "other", "--fresh")
    assert "wrote other/graph/mine/model.safetensors" in result.output
    assert "finished" not in result.output
    assert Path("other/graph/mine.old1/model.safetensors").is_file()


def test_other_settings_are_not_mixed_into_a_run(pictures: Path) -> None:
    learn_graph("--data", pictures, "--steps", 1)
    result = learn_graph("--data", pictures, "--steps", 1, "--set", "optimiser.lr=1e-3", "--name", "photos-k3")
    assert result.exit_code == 1
    assert_line_mentions(result, "runs/graph/photos-k3", "other settings", "optimiser.lr", 0.0001, 0.001)


def test_puppets_are_scored_against_their_true_skeleton(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autolink_gen.evaluation import puppets

    plain = puppets.evaluate_puppets
    few = {"num_fit": 20, "num_test": 4}
    monkeypatch.setattr(puppets, "evaluate_puppets", lambda graph, **kwargs: plain(graph, **{**kwargs, **few}))
    monkeypatch.chdir(tmp_path)
    result = learn_graph("--steps", 1)
    assert result.exit_code == 0, result.output
    assert "run: runs/graph/puppets-k3" in result.output
    assert "untrained" in result.output
    assert "%" in result.output


def test_dry_run_prints_a_recipe_and_writes_nothing(pictures: Path) -> None:
    result = learn_graph(
        "--data", pictures, "--seed", 5, "--num-keypoints", 7, "--dry-run", "--set", "optimiser.lr=1e-3"
    )

    assert result.exit_code == 0, result.output
    assert "# runs/graph/photos-k3" in result.output  # --set comes after --num-keypoints
    config = build(GraphRunConfig, yaml.safe_load(result.output))
    assert (config.training.seed, config.optimiser.lr, config.data.name) == (5, 1e-3, str(pictures))
    assert not Path("runs").exists()
    Path("mine.yaml").write_text(result.output)
    again = CliRunner().invoke(cli, ["learn-graph", "--recipe", "mine.yaml", "--dry-run"])
    assert yaml.safe_load(again.output) == yaml.safe_load(result.output)


def test_a_dry_run_says_what_is_taken_of_the_machine(pictures: Path) -> None:
    options = ["--recipe", "cpu", "--devices", "cpu", "--set", "training.precision=auto", "--dry-run"]
    output = learn_graph(*options).output
    assert_line_mentions(output, "device", "1 x cpu")
    assert_line_mentions(output, "precision", best_precision("cpu"))
    assert_line_mentions(output, "data.workers", ": 0")
    assert_line_mentions(output, "compiled", "no")
    chosen = learn_graph(*options, "--precision", "32-true", "--compile", "--set", "data.workers=3").output
    assert_line_mentions(chosen, "precision", "32-true")
    assert_line_mentions(chosen, "compiled", "yes")
    assert_line_mentions(chosen, "data.workers", ": 3")


def test_a_run_on_several_data_sets_is_called_after_them(pictures: Path) -> None:
    result = learn_graph("--data", f"../{pictures.name} + puppets", "--num-keypoints", 4, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "# runs/graph/photos+puppets-k" in result.output
    assert yaml.safe_load(result.output)["data"]["name"] == f"{pictures.resolve()}+puppets"


@pytest.mark.parametrize("data", ["../photos", "./../photos/"])
def test_a_folder_is_noted_so_that_it_is_found_from_anywhere(pictures: Path, data: str) -> None:
    result = learn_graph("--data", data, "--dry-run")
    assert build(GraphRunConfig, yaml.safe_load(result.output)).data.name == str(pictures)


def test_the_name_of_a_data_set_stays_a_name(pictures: Path) -> None:
    Path("afhq").mkdir()
    result = learn_graph("--data", "afhq", "--dry-run")
    assert build(GraphRunConfig, yaml.safe_load(result.output)).data.name == "afhq"


def test_options_reach_the_configuration(pictures: Path) -> None:
    arguments = ["--data", pictures, "--data-root", "sets", "--num-keypoints", 16, "--image-size", 256, "--steps", 9]
    result = CliRunner().invoke(cli, ["learn-graph", "--batch-size", "6", "--dry-run", *map(str, arguments)])
    config = build(GraphRunConfig, yaml.safe_load(result.output))
    assert (config.model.num_keypoints, config.model.image_size, config.data.root) == (16, 256, Path("sets"))
    assert (config.training.steps, config.training.batch_size) == (9, 6)
    assert result.output.startswith("# recipe: ")


@pytest.mark.parametrize(
    ("arguments", "things"),
    [
        (["--set", "model.num_keypoints=1"], ("model.num_keypoints", 2, 1)),
        (["--set", "model.image_size=100"], ("model.image_size", "64, 128, 256", 100)),
        (["--recipe", "papr"], ("papr", "cpu, gpu, official, paper, puppets", ".yaml")),
        (["--recipe", "none.yaml"], ("recipe", "none.yaml")),
        (["--set", "optimizer.lr=1"], ("no setting optimizer", "model, data, perceptual, optimiser*")),
        (["--set", "optimiser.rate=1"], ("no setting optimiser.rate", "optimiser.name, optimiser.lr*")),
        (["--set", "optimiser.lr"], ("--set", "NAME=VALUE", "'optimiser.lr'")),
        (["--set", "training.steps=many"], ("training.steps", "integer")),
        (["--max-minutes", "0"], ("max_minutes", "positive", 0.0)),
        (["--devices", "nine"], ("--devices nine",)),
        (["--devices", "0"], ("--devices 0",)),
        (["--data", "facs68"], ("mean faces68?",)),
    ],
)
def test_a_wrong_setting_is_one_line(pictures: Path, arguments: list[str], things: tuple) -> None:
    assert_mentions(one_line(learn_graph("--data", pictures, "--steps", 1, *arguments)), *things)
    assert not Path("runs").exists()


def test_one_keypoint_by_its_option() -> None:
    result = CliRunner().invoke(cli, ["learn-graph", "--num-keypoints", "1"])
    assert_mentions(one_line(result), "model.num_keypoints", 2, 1)


def test_a_batch_that_devices_cannot_share() -> None:
    with raises_mentioning(ValueError, "training.batch_size 3", "2 devices", "multiple of 2"):
        share_batch(3, 2)
    assert share_batch(6, 2) == 3


def test_a_missing_folder(pictures: Path) -> None:
    result = learn_graph("--data", "./none", "--steps", 1)
    assert_mentions(one_line(result), "--data './none'", "neither", "folder")


def test_an_empty_folder(pictures: Path) -> None:
    Path("empty").mkdir()
    assert_mentions(one_line(learn_graph("--data", "./empty", "--steps", 1)), "empty", ".jpg")


def test_texts_that_are_called_pictures(pictures: Path) -> None:
    for path in pictures.iterdir():
        path.write_text("<html>404 Not Found</html>")
    message = one_line(learn_graph("--data", pictures, "--steps", 1))
    assert_mentions(message, pictures, ("6 pictures", "6 images"), "read", f"autolink-gen data check {pictures}")
    assert not Path("runs").exists()


def test_a_huge_picture_beside_good_ones_is_skipped_and_reported(
    pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def chunk(content: bytes) -> bytes:
        return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))

    header = chunk(b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0))
    body = chunk(b"IDAT" + zlib.compress(b"\0")) + chunk(b"IEND")
    (pictures / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)
    result = learn_graph("--data", pictures, "--steps", 1)
    assert result.exit_code == 0, result.output
    reports = [record.getMessage() for record in caplog.records if "huge.png" in record.getMessage()]
    assert len(reports) == 1
    assert "20000 x 20000 pixels are too many" in reports[0]
    assert_line_mentions(reports[0], "next")


def test_out_that_is_a_file(pictures: Path) -> None:
    Path("occupied").touch()
    result = learn_graph("--data", pictures, "--steps", 1, "--out", "occupied")
    assert_mentions(one_line(result), "occupied", "file", "--name", "--out")


def test_out_where_nothing_may_be_written(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("autolink_gen.training.folders.Path.mkdir", refuse)
    result = learn_graph("--data", pictures, "--steps", 1)
    assert_mentions(one_line(result), "folder", "runs/graph/photos-k3", "Permission denied", "--out")


@pytest.mark.parametrize(
    ("place", "things"),
    [
        ("autolink_gen.training.saves.write_weights", ("save", "step 1", "runs/graph/photos-k3/checkpoints")),
        ("autolink_gen.checkpoints.write_weights", ("runs/graph/photos-k3/model.safetensors",)),
    ],
)
def test_a_full_disk(pictures: Path, monkeypatch: pytest.MonkeyPatch, place: str, things: tuple[str, ...]) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place, full)
    result = learn_graph("--data", pictures, "--steps", 1)
    assert_mentions(one_line(result), "No space left on device", "free some space", "--out", *things)
    assert not list(Path("runs").rglob("*.tmp"))
