"""A run goes on with the recipe as it was when it was begun."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.messages import assert_mentions, one_line

from autolink_gen.cli.main import cli
from autolink_gen.config import GraphRunConfig, build
from autolink_gen.recipes import earlier_recipes, read_recipe, recipe_names
from autolink_gen.runs import CONFIG_NAME
from autolink_gen.training.folders import read_config, read_settings

TINY = ("--recipe", "puppets", "--image-size", "64", "--batch-size", "2", "--num-keypoints", "4", "--set",
        "model.width=0.05", "--set", "model.decoder_width=0.05", "--set", "perceptual.features=random", "--set",
        "training.save_every=1", "--name", "old")  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("autolink_gen.cli.learn_graph._score_puppets", lambda model: None)
    return tmp_path


def learn(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["learn-graph", *TINY, *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_earlier_recipes_are_read_newest_first_and_are_no_recipes_of_today():
    (first,) = earlier_recipes("graph", "puppets")
    assert build(GraphRunConfig, first).model.detector == "residual"
    assert build(GraphRunConfig, read_recipe("graph", "puppets")).model.detector == "features"
    assert (
        earlier_recipes("graph", "paper") == earlier_recipes("gan", "cpu") == earlier_recipes("graph", "a.yaml") == []
    )
    assert all("-1" not in name for name in recipe_names("graph"))


def test_a_run_begun_with_an_earlier_recipe_goes_on_with_it(here: Path, monkeypatch: pytest.MonkeyPatch):
    (earlier,) = earlier_recipes("graph", "puppets")
    with monkeypatch.context() as patch:
        patch.setattr("autolink_gen.training.plans.read_recipe", lambda kind, name: earlier)
        learn("--steps", "1")
    folder = here / "runs/graph/old"
    begun = read_settings(folder / CONFIG_NAME)
    output = learn("--steps", "2")
    assert "goes on with them" in output and "going on from step 1 of 2" in output
    assert read_config(folder, GraphRunConfig).model.detector == "residual"
    assert read_settings(folder / CONFIG_NAME)["model"] == begun["model"]
    assert "goes on with them" not in learn("--steps", "1", "--fresh")
    assert read_config(folder, GraphRunConfig).model.detector == "features"


def test_settings_that_an_earlier_recipe_could_not_have_may_be_given(here: Path):
    learn("--steps", "1", "--set", "model.features_maps=3")
    assert read_config(here / "runs/graph/old", GraphRunConfig).model.features_maps == 3
    learn("--steps", "2", "--set", "model.features_maps=3")


def test_other_settings_are_refused_as_ever(here: Path):
    learn("--steps", "1")
    result = CliRunner().invoke(cli, ["learn-graph", *TINY, "--steps", "2", "--set", "model.sigma2=1e-3"])
    assert_mentions(one_line(result), "other settings", "model.sigma2")
