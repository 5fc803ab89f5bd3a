"""`--drop-cluster` where something is trained to paint on a graph: what is kept, gone on with, and refused."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from helpers.cli import run_cli
from helpers.clustered_graph import two_clusters
from helpers.messages import assert_line_mentions

from autolink_gen import load_gan, load_transfer
from autolink_gen.checkpoints import load_graph_model, save_model
from autolink_gen.ops.keypoints import linked_keypoints

SETTINGS = {
    "gan": ("model.width=0.02", "model.style_size=8", "adversarial.structure=0.1", "progress.pictures=0"),
    "transfer": (
        "model.width=0.05",
        "model.appearance_width=0.05",
        "model.warps=true",
        "model.clusters=2",
        "weights.discriminator_width=0.02",
        "perceptual.features=random",
        "adversarial.structure=0.1",
        "progress.pictures=0",
    ),
}
KINDS = pytest.mark.parametrize("kind", SETTINGS)


def run(*arguments: object, expect: int = 0) -> str:
    output = run_cli(*arguments, expect=expect).output
    return " ".join(output.split()) if expect else output


def train(kind: str, *arguments: object, expect: int = 0) -> str:
    settings = [word for setting in (*SETTINGS[kind], "training.log_every=1") for word in ("--set", setting)]
    given = ("--batch-size", 2, *arguments)
    return run(f"train-{kind}", "--recipe", "cpu", *settings, *given, expect=expect)


def make_graph(folder: Path) -> None:
    """A run of the graph of two clusters, learned on puppets."""
    save_model(folder / "model.safetensors", two_clusters(sigma2=1e-2))
    (folder / "config.yaml").write_text("data: {name: puppets}\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a graph and with a GAN and a transfer network of a step each that leave a cluster of it out."""
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_graph(Path("runs/graph/puppets-k5"))
        for kind in SETTINGS:
            output = train(kind, "--steps", 1, "--drop-cluster", 1)
            said = "graph: runs/graph/puppets-k5 (5 keypoints, the newest run on this data), without cluster 1 of 2"
            assert f"{said}, keypoints 1, 3\n" in output
        train("gan", "--steps", 1, "--name", "whole")
    return folder


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


@KINDS
def test_the_copy_of_the_graph_and_the_configuration_tell_what_is_left_out(here: Path, kind: str) -> None:
    folder = Path("runs") / kind / "puppets"
    kept = load_graph_model(folder / "graph.safetensors")
    assert linked_keypoints(kept.edge_weights).tolist() == [0, 2, 4]
    choice = yaml.safe_load((folder / "config.yaml").read_text())["graph"]
    assert (choice["clusters"], choice["dropped_clusters"], choice["dropped"]) == (2, [1], [1, 3])
    loaded = load_gan(folder) if kind == "gan" else load_transfer(folder)
    assert torch.equal(loaded.graph.edge_weights, kept.edge_weights)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all(abs(row["loss"]) < 1e6 and row["structure"] >= 0 for row in rows)
    whole = yaml.safe_load(Path("runs/gan/whole/config.yaml").read_text())["graph"]
    assert (whole["clusters"], whole["dropped_clusters"], whole["dropped"]) == (0, [], [])


@KINDS
def test_it_goes_on_with_the_same_choice_or_none_named(here: Path, kind: str) -> None:
    folder = Path("runs") / kind / "puppets"
    own = f"graph: {folder}/graph.safetensors, the run's own, without"
    assert f"{own} cluster 1 of 2, keypoints 1, 3\n" in train(kind, "--steps", 2)
    before = (folder / "config.yaml").read_text()
    assert f"{own} cluster 1 of 2, keypoints 1, 3\n" in train(kind, "--steps", 2, "--drop-cluster", 1)
    for cluster in ((), ("--drop-cluster", 1, "--clusters", 2)):
        named = train(kind, "--steps", 2, "--graph", "puppets-k5", *cluster)
        assert "finished already, at step 2" in named and "without cluster 1 of 2, keypoints 1, 3" in named
    assert (folder / "config.yaml").read_text() == before


@KINDS
def test_it_refuses_another_choice(here: Path, kind: str) -> None:
    folder = Path("runs") / kind
    given = ("--steps", 9)
    other = train(kind, *given, "--drop-cluster", 0, expect=2)
    assert_line_mentions(other, folder / "puppets", "cluster 1 of 2", "--drop-cluster", "cluster 0 of 2")
    assert_line_mentions(other, "--clusters 2 --drop-cluster 1", "--name", "new run")
    assert other == train(kind, *given, "--graph", "puppets-k5", "--drop-cluster", 0, expect=2)
    changed = train(kind, "--steps", 2, "--seed", 5, expect=1)
    assert "training.seed was 0, now 5" in changed and "finished already" not in changed


def test_a_run_on_the_whole_graph_stays_on_it(here: Path) -> None:
    refused = train("gan", "--steps", 9, "--drop-cluster", 1, "--name", "whole", expect=2)
    assert_line_mentions(refused, "runs/gan/whole", "no cluster", "--drop-cluster", "cluster 1 of 2")
    assert "give no --drop-cluster to go on" in refused


def test_a_run_from_before_there_was_a_choice_goes_on(here: Path) -> None:
    file = Path("runs/gan/whole/config.yaml")
    values = yaml.safe_load(file.read_text())
    for name in ("clusters", "dropped_clusters", "dropped"):
        del values["graph"][name]
    file.write_text(yaml.safe_dump(values))
    assert "going on from step 1 of 2" in train("gan", "--steps", 2, "--name", "whole")


@KINDS
def test_a_dry_run_prints_it(here: Path, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = train(kind, "--dry-run", "--drop-cluster", 1, "--name", "new")
    graph = yaml.safe_load(output)["graph"]
    assert (graph["dropped"], graph["dropped_clusters"]) == ([1, 3], [1])
    monkeypatch.chdir(tmp_path)
    alone = run(f"train-{kind}", "--recipe", "paper", "--dry-run", "--clusters", 3, "--drop-cluster", 2)
    assert_line_mentions(alone, "no graph")
    assert_line_mentions(alone, "cluster 2 of 3", "left out")
    assert_line_mentions(train(kind, "--clusters", 2, expect=2), "--clusters 2", "--drop-cluster")


@KINDS
def test_a_wrong_cluster_makes_no_run(here: Path, kind: str) -> None:
    refused = train(kind, "--steps", 1, "--drop-cluster", 2, "--name", "none", expect=2)
    assert "there is no cluster 2, they are 0 to 1" in refused
    assert not (Path("runs") / kind / "none").exists()


def test_its_graph_can_be_looked_at_and_detects_what_is_left(here: Path, tmp_path: Path) -> None:
    output = run("view-graph", "runs/gan/puppets", "--out", tmp_path)
    assert ", 5 keypoints, without keypoints 1, 3" in output and "3 of 10 edges" in output
    output = run("generate", "--model", "puppets", "--seeds", "0", "--grid", "rows=seeds,cols=poses", "--out", tmp_path)
    assert ", 5 keypoints, without keypoints 1, 3" in output
    run("detect", tmp_path / "grid.png", "--model", "runs/gan/puppets", "--out", tmp_path / "found")
    assert "x2_px" in (tmp_path / "found/keypoints.csv").read_text().partition("\n")[0]
    assert "x1_px" not in (tmp_path / "found/keypoints.csv").read_text()
