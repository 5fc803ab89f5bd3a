"""A run's folder: no file of anybody's is replaced, a run without a save begins anew, other steps are told of."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from helpers.messages import assert_line_mentions, is_mentioned, raises_mentioning

from autolink_gen.checkpoints import load_graph_model, save_model
from autolink_gen.config import GanRunConfig, GraphRunConfig, build
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.training.engine import Run
from autolink_gen.training.gan import train_gan
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.run_length import say_length

TINY = {
    "model": {"num_keypoints": 3, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
    "perceptual": {"features": "random", "distance": "l1"},
    "training": {"steps": 2, "batch_size": 2, "save_every": 2, "grid_every": 2, "log_every": 1},
}


def tiny(*, lr: float = 1e-4, schedule: str = "constant", start: float | None = None, **training: int):
    values = {**TINY, "training": {**TINY["training"], **training}, "thickness": {"start": start}}
    return build(GraphRunConfig, {**values, "optimiser": {"lr": lr, "schedule": schedule}})


def launch(folder: Path, **changes: object) -> Launch:
    return Launch(folder=folder, devices=1, progress=False, **changes)


def make_graph(seed: int) -> AutoLink:
    torch.manual_seed(seed)
    return AutoLink(AutoLinkConfig(**TINY["model"])).eval()


def tiny_gan() -> GanRunConfig:
    model = {"image_size": 64, "width": 0.05, "style_size": 8}
    return build(
        GanRunConfig, {"model": model, "training": {**TINY["training"], "steps": 1}, "progress": {"pictures": 0}}
    )


def fail_at_once(monkeypatch: pytest.MonkeyPatch, train) -> None:
    """Let a run fail in its first step."""

    def die(self, *args, **kwargs):
        raise MemoryError("no room")

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(Run, "update", die)
        patch.setattr(Run, "update_critic", die)
        train()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of four steps of a run whose rate and thickness follow schedules."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_graph(tiny(schedule="cosine", start=2e-2), launch(folder))
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("name", ["graph.png", "metrics.jsonl", "seeds.json", "samples/mine.png", "graph.safetensors"])
def test_files_in_a_folder_that_is_no_run_s_are_not_replaced(tmp_path, name):
    file = tmp_path / "run" / name
    file.parent.mkdir(parents=True)
    file.write_text('{"step": 7}\n')
    for fresh in (False, True):
        if fresh and name == "graph.safetensors":  # a run's own name: it is moved aside with its folder
            continue
        with pytest.raises(ValueError, match=rf"{name.split('/')[0]}.*another --name"):
            train_graph(tiny(), launch(tmp_path / "run", fresh=fresh))
    assert file.read_text() == '{"step": 7}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_notes_beside_a_run_are_in_nobody_s_way(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    train_graph(tiny(steps=1), launch(tmp_path / "run"))
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_a_copy_of_a_graph_is_moved_aside_and_not_lost(tmp_path):
    """As of a run whose other files somebody deleted."""
    (tmp_path / "run").mkdir()
    save_model(tmp_path / "run" / "graph.safetensors", make_graph(1))
    with pytest.raises(ValueError, match=r"another graph.*--fresh"):
        train_gan(tiny_gan(), make_graph(2), launch(tmp_path / "run"))
    train_gan(tiny_gan(), make_graph(2), launch(tmp_path / "run", fresh=True))
    old, new = (load_graph_model(tmp_path / name / "graph.safetensors") for name in ("run.old1", "run"))
    assert torch.equal(old.raw_edge_weights, make_graph(1).raw_edge_weights)
    assert torch.equal(new.raw_edge_weights, make_graph(2).raw_edge_weights)


def test_another_s_configuration_is_named_and_stays(tmp_path):
    (tmp_path / "config.yaml").write_text("server: {port: 80}\n")
    with pytest.raises(ValueError, match=rf"{tmp_path}.config\.yaml .*server.*another --name"):
        train_graph(tiny(), launch(tmp_path))
    assert (tmp_path / "config.yaml").read_text() == "server: {port: 80}\n"


def test_a_run_that_failed_before_its_first_save_takes_other_settings(tmp_path, monkeypatch, caplog):
    folder = tmp_path / "run"
    fail_at_once(monkeypatch, lambda: train_graph(tiny(lr=1e-3), launch(folder)))
    assert yaml.safe_load((folder / "config.yaml").read_text())["optimiser"]["lr"] == 1e-3
    run = train_graph(tiny(steps=1), launch(folder))
    assert (run.first_step, run.progress.step) == (0, 1)
    assert yaml.safe_load((folder / "config.yaml").read_text())["optimiser"]["lr"] == 1e-4
    assert "optimiser.lr was 0.001, now 0.0001" in caplog.text
    with pytest.raises(ValueError, match=r"optimiser\.lr"):
        train_graph(tiny(steps=1, lr=1e-3), launch(folder))


def test_a_run_that_failed_before_its_first_save_takes_another_graph(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    fail_at_once(monkeypatch, lambda: train_gan(tiny_gan(), make_graph(1), launch(folder)))
    train_gan(tiny_gan(), make_graph(2), launch(folder))
    kept, aside = (load_graph_model(folder / name) for name in ("graph.safetensors", "graph.old1.safetensors"))
    assert torch.equal(kept.raw_edge_weights, make_graph(2).raw_edge_weights)
    assert torch.equal(aside.raw_edge_weights, make_graph(1).raw_edge_weights), "the only copy, perhaps"
    with pytest.raises(ValueError, match="another graph"):
        train_gan(tiny_gan(), make_graph(3), launch(folder))


@pytest.mark.parametrize(
    ("start", "schedule", "told"),
    [
        (2e-2, "cosine", ("learning rate", "thickness")),
        (2e-2, "constant", ("thickness",)),
        (None, "cosine", ("learning rate",)),
        (None, "constant", ()),
    ],
)
def test_what_jumps_with_the_number_of_steps(caplog, start, schedule, told):
    both = {"start": start, "schedule": schedule}
    say_length(tiny(steps=20, **both), tiny(steps=20, **both), step=20)
    assert not caplog.text, "nothing is new"
    say_length(tiny(steps=20, **both), tiny(steps=40, **both), step=20)
    assert tuple(name for name in ("learning rate", "thickness") if is_mentioned(caplog.text, name)) == told
    for value in (20, 40, "100 %", "50 %"):
        assert is_mentioned(caplog.text, value) == bool(told)


def test_a_thickness_that_has_come_to_its_end_does_not_jump(caplog):
    say_length(tiny(steps=100, start=2e-2), tiny(steps=110, start=2e-2), step=100)
    assert not caplog.text, "it is the model's from 60 % on"


def test_more_steps_than_the_schedules_were_for_are_told_of(folder, caplog):
    train_graph(tiny(steps=4, schedule="cosine", start=2e-2), launch(folder))
    assert "was 2, now 4: the learning rate and" in caplog.text
    assert "--steps 4" in caplog.text and "--fresh" in caplog.text and "rise again" in caplog.text
    rates = [row["learning_rate"] for row in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())]
    assert rates[-2] == pytest.approx(1e-4 * (0.01 + 0.99 * 0.5)), "half of the way once more"


def test_fewer_steps_than_are_done_change_nothing_and_are_told_of(folder, caplog):
    before = (folder / "config.yaml").read_bytes(), (folder / "model.safetensors").read_bytes()
    run = train_graph(tiny(steps=1, schedule="cosine", start=2e-2), launch(folder))
    assert run.progress.step == 2
    assert ((folder / "config.yaml").read_bytes(), (folder / "model.safetensors").read_bytes()) == before
    assert_line_mentions(caplog.messages, "2 steps", "--steps 1", "keeps")


@pytest.mark.parametrize("workers", [0, 2])
def test_other_processes_that_read_are_no_other_run(folder, workers):
    values = yaml.safe_load((folder / "config.yaml").read_text())
    values["data"]["workers"] = workers
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    settings = tiny(schedule="cosine", start=2e-2)
    assert settings.data.workers is None, "as the device has it"
    assert train_graph(settings, launch(folder)).first_step == 2


def test_damaged_records_of_the_data_are_one_line(folder):
    for text in ("", "[1]", '{"count": "many"}', "[" * 100_000, json.dumps({"count": 1, "kind": "x" * 70_000})):
        (folder / "data.json").write_text(text)
        with raises_mentioning(ValueError, "data.json", "readable", "remove") as caught:
            other = tiny(schedule="cosine", start=2e-2)
            train_graph(replace(other, data=replace(other.data, name="puppets")), launch(folder))
        assert "\n" not in str(caught.value)
