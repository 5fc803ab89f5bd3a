"""`autolink_gen.train_gan` and `train_transfer`, and the plans that they share with the commands."""

from pathlib import Path

import pytest
import torch
import yaml
from helpers.messages import assert_mentions, is_mentioned, raises_mentioning
from helpers.tiny_models import tiny_graph

import autolink_gen
from autolink_gen.checkpoints import save_model
from autolink_gen.clusters import ClusterChoice, ClusterError
from autolink_gen.training.painting_plans import GraphRequest, plan_gan, plan_transfer
from autolink_gen.training.plans import Choices

GAN = {"model.width": 0.02, "model.style_size": 8, "adversarial.structure": 0.0, "progress.pictures": 0}
TRANSFER = {
    "model.width": 0.05,
    "model.appearance_width": 0.05,
    "weights.discriminator_width": 0.02,
    "perceptual.features": "random",
    "progress.pictures": 0,
}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of runs with a graph that was learned on the puppets."""
    graph = tiny_graph(4, sigma2=1e-2)
    save_model(tmp_path / "graph" / "puppets-k4" / "model.safetensors", graph)
    (tmp_path / "graph" / "puppets-k4" / "config.yaml").write_text("data: {name: puppets}\n")
    return tmp_path


def test_a_gan_is_trained_and_goes_on(runs: Path) -> None:
    given = {"recipe": "puppets", "settings": GAN, "batch_size": 2, "out": runs, "progress": False}
    run = autolink_gen.train_gan(steps=1, **given)
    assert run.folder == runs / "gan" / "puppets"
    settings = yaml.safe_load(run.output("config.yaml").read_text())
    assert (settings["graph"]["run"], settings["graph"]["num_keypoints"]) == (str(runs / "graph/puppets-k4"), 4)
    assert autolink_gen.train_gan(steps=2, **given) == run
    gan = autolink_gen.load_gan(run)
    assert gan.generate(gan.poses[:1], torch.zeros(1, 8)).shape == (1, 3, 64, 64)
    assert (run.output("checkpoints") / "step-00000002").is_dir()


def test_a_transfer_network_is_trained(runs: Path) -> None:
    run = autolink_gen.train_transfer(
        graph=runs / "graph" / "puppets-k4",
        recipe="puppets",
        settings=TRANSFER,
        steps=1,
        batch_size=1,
        out=runs,
        progress=False,
    )
    assert run.folder == runs / "transfer" / "puppets"
    assert autolink_gen.load_transfer(run).graph.config.num_keypoints == 4


def test_a_plan_says_which_graph_it_stands_on(runs: Path) -> None:
    plan = plan_gan(Choices(out=runs, data="afhq", recipe="cpu"), GraphRequest(), classes=("cat", "dog"))
    assert plan.folder == runs / "gan" / "afhq-cat-dog" and plan.config.data.classes == ("cat", "dog")
    assert_mentions(plan.notes[0], runs / "graph/puppets-k4", "4 keypoints", "newest run")
    assert not is_mentioned(plan.notes[0], "this data")
    assert_mentions(plan.notes[1], "graph", "puppets", "GAN", "afhq")
    own = plan_transfer(Choices(out=runs), GraphRequest())
    (note,) = own.notes
    assert_mentions(note, runs / "graph/puppets-k4", "4 keypoints", "newest run", "this data")
    named = plan_transfer(Choices(out=runs), GraphRequest("puppets-k4"))
    assert named.notes == (f"graph: {runs / 'graph/puppets-k4'} (4 keypoints)",)


def test_without_a_graph_a_plan_can_be_looked_at(tmp_path: Path) -> None:
    plan = plan_gan(Choices(out=tmp_path), GraphRequest(is_needed=False))
    assert plan.graph is None and plan.config.graph.num_keypoints == 0
    with raises_mentioning(ValueError, "no finished run", "autolink-gen learn-graph"):
        plan_gan(Choices(out=tmp_path), GraphRequest())
    with raises_mentioning(ValueError, "gone", "no run"):
        plan_gan(Choices(out=tmp_path), GraphRequest("gone", is_needed=False))


def test_clusters_that_are_not_there_are_refused(runs: Path) -> None:
    with pytest.raises(ClusterError, match="7"):
        plan_gan(Choices(out=runs), GraphRequest(dropped=ClusterChoice(2, (7,))))
