"""What a run's name stands for: by name, by folder, by its weights, the newest, a GAN's own graph."""

import os
from pathlib import Path

import pytest
import torch
from helpers.tiny_models import tiny_graph

from autolink_gen import load_graph_model
from autolink_gen.checkpoints import save_model, write_described
from autolink_gen.config import GanRunConfig, GraphRunConfig
from autolink_gen.runs import Kind, RunFolder

WEIGHTS = "model.safetensors"


def write_weights(place: Path, kind: Kind, *, name: str = WEIGHTS) -> Path:
    """A file that says it holds a model of a kind; returns the folder."""
    write_described(place / name, {"weight": torch.zeros(1)}, kind=kind, config={})
    return place


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the working folder: the graphs `newer`, `older` and `begun`, the last without weights, and a GAN `cats`."""
    monkeypatch.chdir(tmp_path)
    for age, name in enumerate(["newer", "older"]):
        file = write_weights(Path("runs/graph") / name, "graph") / WEIGHTS
        os.utime(file, (1e9 - age, 1e9 - age))
    Path("runs/graph/begun").mkdir()
    write_weights(Path("runs/gan/cats"), "gan")
    return tmp_path / "runs"


def test_without_a_name_it_is_the_newest_run(runs: Path) -> None:
    run = RunFolder.find(kind="graph", runs=runs)
    assert (run.folder, run.kind, run.newest) == (runs / "graph" / "newer", "graph", True)
    assert str(run) == f"{runs / 'graph' / 'newer'} (newest)"
    assert os.fspath(run) == str(runs / "graph" / "newer") and Path(run) == run.path
    assert RunFolder.find(runs=runs) == run, "graphs come first"
    assert RunFolder.find(kind="gan").folder == Path("runs/gan/cats")


def test_a_run_is_found_by_name_by_path_and_by_its_weights(runs: Path) -> None:
    run = RunFolder.find("older", kind="graph")
    assert run == RunFolder("graph", Path("runs/graph/older"), Path("runs/graph/older") / WEIGHTS)
    assert str(run) == os.fspath(run) == str(Path("runs/graph/older"))
    weights = runs / "graph" / "older" / WEIGHTS
    for name in (weights, str(weights), weights.parent):
        assert RunFolder.find(name, runs=Path("elsewhere")).folder == weights.parent
    assert RunFolder.find(run) is run
    assert run.output("figure.png") == Path("runs/graph/older/figure.png")


def test_the_kind_is_read_from_the_weights(runs: Path) -> None:
    assert RunFolder.find("cats").kind == "gan"
    assert RunFolder.find(runs / "gan" / "cats").kind == "gan"
    write_weights(Path("elsewhere"), "transfer")
    assert RunFolder.find("elsewhere").kind == "transfer"
    with pytest.raises(ValueError, match=r"gan.*graph.*autolink-gen learn-graph"):
        RunFolder.find(runs / "gan" / "cats", kind="graph")
    write_weights(Path("strange"), "sculpture")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="strange"):
        RunFolder.find("strange")


def test_for_a_graph_the_run_of_a_gan_stands_for_the_graph_that_it_keeps(runs: Path) -> None:
    graph = tiny_graph()
    save_model(Path("runs/gan/cats/graph.safetensors"), graph)
    Path("runs/gan/cats/config.yaml").write_text("data: {name: cats+dogs}\npose: {jitter: 0.5}\n")
    run = RunFolder.find("runs/gan/cats", kind="graph")
    assert (run.kind, run.folder, run.weights.name) == ("graph", Path("runs/gan/cats"), "graph.safetensors")
    assert load_graph_model(run).config.num_keypoints == 3
    config = run.config()
    assert isinstance(config, GanRunConfig) and config.pose.jitter == 0.5, "the settings are the GAN's"
    gan = RunFolder.find("cats")
    assert RunFolder.find(gan, kind="graph") == run and gan.weights.name == WEIGHTS


def test_weights_of_another_name_stand_for_themselves(runs: Path) -> None:
    file = write_weights(Path("downloads"), "graph", name="faces.safetensors") / "faces.safetensors"
    run = RunFolder.find(file)
    assert (run.folder, run.weights) == (Path("downloads"), file)
    assert os.fspath(run) == str(run) == str(file), "not the folder, whose weights are others"
    assert run.config() is None and run.data() is None


def test_the_settings_are_typed(runs: Path) -> None:
    run = RunFolder.find("older")
    file = run.output("config.yaml")
    file.write_text("data: {name: puppets, hold_out: 3}\ntraining: {seed: 7}\n")
    config = run.config()
    assert isinstance(config, GraphRunConfig) and (config.training.seed, config.data.hold_out) == (7, 3)
    assert run.data() == config.data
    source = run.source()
    assert source is not None and source.text == "puppets"
    file.write_text("data: {flip: 7}\n")
    with pytest.raises(ValueError, match=r"config\.yaml.*flip.*7"):
        run.config()


def test_data_that_are_not_there_any_more_are_asked_for(runs: Path, tmp_path: Path) -> None:
    run = RunFolder.find("older")
    run.output("config.yaml").write_text(f"data: {{name: '{tmp_path / 'gone'}+puppets'}}\n")
    with pytest.raises(ValueError, match=r"older.*gone.*--data"):
        run.data()


@pytest.mark.parametrize(("kind", "command"), [("graph", "learn-graph"), ("gan", "train-gan")])
def test_no_run_says_what_to_type(tmp_path: Path, kind: Kind, command: str) -> None:
    with pytest.raises(ValueError, match=rf"{tmp_path}/{kind}.*autolink-gen {command}$"):
        RunFolder.find(kind=kind, runs=tmp_path)
    with pytest.raises(ValueError, match=rf"mine.*{tmp_path}/{kind}/mine.*autolink-gen {command}$"):
        RunFolder.find("mine", kind=kind, runs=tmp_path)
    with pytest.raises(ValueError, match=rf"{tmp_path}/graph/mine.*{tmp_path}/gan/mine"):
        RunFolder.find("mine", runs=tmp_path)


def test_a_folder_without_weights_is_no_run(runs: Path) -> None:
    with pytest.raises(ValueError, match=r"begun.*model\.safetensors"):
        RunFolder.find("begun")


def test_a_folder_of_data_that_has_the_run_s_name_is_passed_over(runs: Path) -> None:
    Path("cats/train").mkdir(parents=True)
    assert RunFolder.find("cats", kind="gan").folder == Path("runs/gan/cats")
    write_weights(Path("cats"), "gan")
    assert RunFolder.find("cats", kind="gan").folder == Path("cats")
