"""`autolink_gen.learn_graph` and the plan that it and the command share."""

from pathlib import Path

import pytest
import torch
import yaml
from helpers.cli import run_cli

import autolink_gen
from autolink_gen.config import to_yaml
from autolink_gen.recipes import nest, parse_overrides
from autolink_gen.training.plans import Choices, default_recipe, plan_graph

TINY = {
    "model.width": 0.05,
    "model.sigma2": 1e-2,
    "model.detector": "residual",
    "perceptual": {"features": "random"},
    "training.save_every": 2,
    "training.grid_every": 2,
    "training.precision": "32-true",
}


def learn(out: Path, **changes: object) -> Path:
    given = {"num_keypoints": 3, "steps": 2, "batch_size": 2, "out": out, "settings": TINY, "progress": False}
    return autolink_gen.learn_graph(**{**given, **changes})


def test_a_call_trains_goes_on_and_starts_anew(tmp_path: Path) -> None:
    run = learn(tmp_path)
    assert run.folder == tmp_path / "graph" / "puppets-k3"
    graph = autolink_gen.load_graph_model(run)
    assert graph.config.num_keypoints == 3 and graph.config.width == 0.05
    assert learn(tmp_path, steps=3) == run
    saves = sorted(save.name for save in run.output("checkpoints").glob("step-*"))
    assert saves == ["step-00000002", "step-00000003"]
    with pytest.raises(ValueError, match=r"training\.seed"):
        learn(tmp_path, seed=1)
    assert learn(tmp_path, seed=1, fresh=True) == run
    assert (tmp_path / "graph" / "puppets-k3.old1").is_dir()
    settings = yaml.safe_load(run.output("config.yaml").read_text())
    assert (settings["training"]["seed"], settings["perceptual"]["features"]) == (1, "random")


def test_what_is_not_chosen_is_the_recipe_s() -> None:
    plan = plan_graph(Choices())
    assert (plan.recipe, plan.folder) == ("puppets", Path("runs/graph/puppets-k16"))
    assert plan_graph(Choices(recipe="puppets")).config == plan.config
    own = plan_graph(Choices(data="photos", recipe="official", mirror=False, steps=7, name="mine"), num_keypoints=5)
    assert (own.config.data.flip, own.config.training.steps, own.config.model.num_keypoints) == (0.0, 7, 5)
    assert own.folder == Path("runs/graph/mine")
    held = plan_graph(Choices(data="faces68", recipe="cpu"), hold_out=5, num_keypoints=4)
    assert held.folder.name == "faces68-k4-hold5" and held.config.data.hold_out == 5


@pytest.mark.parametrize(("has_cuda", "expected"), [(True, "gpu"), (False, "cpu")])
@pytest.mark.parametrize("kind", ["graph", "gan", "transfer"])
def test_the_recipe_is_that_for_the_data_and_the_machine(
    monkeypatch: pytest.MonkeyPatch, kind: str, has_cuda: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    assert default_recipe(kind, "photos") == Choices(data="photos").recipe_of(kind) == expected
    assert default_recipe(kind, None) == default_recipe(kind, "puppets") == "puppets"
    assert Choices(data="photos", devices="cpu").recipe_of(kind) == "cpu", "as it was asked for"
    assert Choices(data="photos", devices="cpu", recipe="paper").recipe_of(kind) == "paper"


def test_a_command_and_a_call_choose_by_the_devices_they_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for devices, expected in (("auto", "gpu"), ("cpu", "cpu")):
        result = run_cli("learn-graph", "--data", tmp_path, "--devices", devices, "--dry-run")
        assert f"recipe: {expected}\n" in result.output
    chosen = []
    monkeypatch.setattr("autolink_gen.training.plans.read_recipe", lambda kind, name: chosen.append(name) or {})
    monkeypatch.setattr("autolink_gen.training.plans.GraphPlan.train", lambda plan, launch: None)
    monkeypatch.setattr("autolink_gen.training.plans.run_of", lambda run, kind: None)
    autolink_gen.learn_graph(tmp_path, devices="cpu", out=tmp_path)
    assert chosen == ["cpu"]


@pytest.mark.parametrize("name", ["", "a/b", "..", "a.", "a" * 256])
def test_a_name_that_is_no_folder_s_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^name: "):
        learn(tmp_path, name=name)
    assert not list(tmp_path.iterdir())


def test_settings_stand_over_the_other_choices() -> None:
    plan = plan_graph(Choices(steps=7, settings=nest({"training.steps": 9, "optimiser": {"lr": 1e-2}})))
    assert (plan.config.training.steps, plan.config.optimiser.lr) == (9, 1e-2)
    assert plan.config.optimiser.name == "adam", "the rest of the group stays"
    with pytest.raises(ValueError, match=r"there is no setting training\.step;"):
        plan_graph(Choices(settings=nest({"training.step": 9})))


def test_dotted_settings_are_those_of_the_command_line() -> None:
    assert nest({"a.b": 1, "a.c": {"d": 2}, "e": 3}) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    assert parse_overrides(["a.b=1", "a.c={d: 2}", "e=3"]) == nest({"a.b": 1, "a.c": {"d": 2}, "e": 3})


def test_earlier_settings_of_the_recipe_go_on(tmp_path: Path) -> None:
    plan = plan_graph(Choices(out=tmp_path, settings=nest(TINY)), num_keypoints=3)
    earlier = plan.earlier[0]
    assert plan.as_begun() is plan, "there is no run yet"
    (plan.folder / "checkpoints" / "step-00000001").mkdir(parents=True)
    (plan.folder / "config.yaml").write_text(to_yaml(earlier))
    assert plan.as_begun().config == earlier != plan.config
