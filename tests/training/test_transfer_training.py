"""The transfer loop: it learns, resumes bit-equal, keeps its graph, measures itself, refuses what cannot work."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.messages import raises_mentioning
from helpers.tiny_models import tiny_graph
from PIL import Image

from autolink_gen.config import TransferRunConfig, build
from autolink_gen.data.sources.puppets import PuppetSource
from autolink_gen.data.video.clips import PuppetClip
from autolink_gen.data.video.random_frames import RandomFrames
from autolink_gen.inference.transfer import Transfer, load_transfer
from autolink_gen.models.autolink import AutoLink
from autolink_gen.training.augment import VaryPairs
from autolink_gen.training.batches import flip_some
from autolink_gen.training.engine import Run
from autolink_gen.training.launch import Launch
from autolink_gen.training.saves import read_newest, step_folders
from autolink_gen.training.transfer import train_transfer
from autolink_gen.training.transfer_samples import pairs_of

TINY = {
    "model": {"image_size": 64, "width": 0.05, "appearance_width": 0.05},
    "weights": {"adversarial": 0.1, "discriminator_width": 0.02},
    "perceptual": {"features": "random"},
    "adversarial": {"penalty_every": 2},
    "optimiser": {"lr": 1e-3},
    "training": {"steps": 6, "batch_size": 4, "ema": 0.9, "save_every": 3, "grid_every": 6, "log_every": 1},
    "progress": {"pictures": 8},
}


def tiny(**changes) -> TransferRunConfig:
    merged = {name: {**TINY.get(name, {}), **changes.get(name, {})} for name in {*TINY, *changes}}
    return build(TransferRunConfig, merged)


def launch(folder: Path, **changes) -> Launch:
    return Launch(folder=folder, **{"devices": 1, "progress": False, **changes})


def make_graph(seed: int = 0, **changes) -> AutoLink:
    return tiny_graph(seed=seed, **{"num_keypoints": 4, "sigma2": 1e-2, **changes})


def state_of(run: Run) -> dict[str, torch.Tensor]:
    weights, state = read_newest(run.checkpoints)
    found = {**weights, "rng": state["rng"]}
    found |= {f"average.{name}": value for name, value in state["average"].items()}
    for optimiser in ("optimiser", "critic_optimiser"):
        for index, values in state[optimiser]["state"].items():
            found |= {f"{optimiser}.{index}.{name}": value for name, value in values.items()}
    return found


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Run:
    return train_transfer(tiny(), make_graph(), launch(tmp_path_factory.mktemp("straight") / "run"))


def test_what_a_run_leaves(straight):
    folder = straight.folder
    assert [path.name for path in step_folders(folder / "checkpoints")] == ["step-00000003", "step-00000006"]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all({"loss", "squared", "perceptual", "adversarial", "critic_loss"} <= row.keys() for row in rows)
    assert all(0 <= row["waiting_share"] <= 1 for row in rows)
    grid = np.asarray(Image.open(folder / "samples" / "step-00000006.png"))
    assert grid.shape[:2] == (4 + 5 * 132, 4 + 8 * 132)
    values = json.loads((folder / "l1.json").read_text())
    assert [row["step"] for row in values["curve"]] == [3, 6]
    assert 0 < values["copied"] < 0.5
    assert (folder / "l1.png").is_file()
    assert not list(folder.rglob("*.tmp"))


def test_the_weights_to_use_are_the_average_with_the_graph(straight):
    transfer = load_transfer(straight.folder)
    average, used = straight.average.module.state_dict(), transfer.network.state_dict()
    assert all(torch.equal(average[name], used[name]) for name in used)
    assert torch.equal(transfer.graph.raw_edge_weights, make_graph().raw_edge_weights)
    assert not transfer.training


@pytest.mark.parametrize("at", [2, 5])
def test_a_stopped_run_goes_on_bit_equal(straight, tmp_path, monkeypatch, at):
    plain, done = Run.update, []

    def update(self, loss, **kwargs):
        if self.progress.step == at - 1 and not done:
            done.append(os.kill(os.getpid(), signal.SIGTERM))
        return plain(self, loss, **kwargs)

    monkeypatch.setattr(Run, "update", update)
    stopped = train_transfer(tiny(), make_graph(), launch(tmp_path / "run"))
    assert (stopped.progress.step, stopped.stopped_by) == (at, "SIGTERM")
    finished = train_transfer(tiny(), make_graph(), launch(tmp_path / "run"))
    ours, theirs = state_of(finished), state_of(straight)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_killed_before_its_first_save_begins_as_it_would_have(straight, tmp_path, monkeypatch):
    def die(self, loss, **kwargs):
        raise SystemError("killed")

    with monkeypatch.context() as patch, pytest.raises(SystemError):
        patch.setattr(Run, "update", die)
        train_transfer(tiny(), make_graph(), launch(tmp_path / "run"))
    assert (tmp_path / "run" / "graph.safetensors").is_file()
    assert not step_folders(tmp_path / "run" / "checkpoints")
    ours, theirs = state_of(train_transfer(tiny(), make_graph(), launch(tmp_path / "run"))), state_of(straight)
    assert not [name for name in theirs if not torch.equal(ours[name], theirs[name])]


def test_it_learns_to_paint_eight_pairs(tmp_path, monkeypatch):
    """Overfitting: what it paints comes near to the true frames, and with another's appearance it does not."""
    monkeypatch.setattr(RandomFrames, "__len__", lambda self: 8)
    clips = [PuppetClip(index, seed=0, size=64, split="train") for index in range(8)]
    monkeypatch.setattr(PuppetSource, "clips", lambda *args, **kwargs: clips)
    changes = {
        "model": {"width": 0.1, "appearance_width": 0.1, "all_scales": True},
        "weights": {"adversarial": 0.0, "perceptual": 0.0},
        "optimiser": {"lr": 6e-3},
        "training": {"steps": 28, "batch_size": 8, "save_every": 28},
        "progress": {"pictures": 0},
    }
    run = train_transfer(tiny(**changes), make_graph(), launch(tmp_path / "run"))
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["squared"] < rows[0]["squared"] / 8
    transfer = load_transfer(run.folder)
    target, source = next(pairs_of(RandomFrames(clips, image_size=64), count=8))
    errors = [
        float((transfer.paint(transfer.graph.detect(target), transfer.look_at(lent)) - target).square().mean())
        for lent in (source, source.roll(1, 0))
    ]
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": {"adversarial": 0.0}, "model": {"clusters": 2, "warps": True}},
        {"adversarial": {"structure": 1.0}, "model": {"source_edges": True}, "data": {"varied": 0.5}},
        {"weights": {"squared": 0.0}, "model": {"all_scales": True}},
    ],
)
def test_switches_train(tmp_path, changes):
    short = {"training": {"steps": 2, "save_every": 2}, "progress": {"pictures": 0}}
    run = train_transfer(tiny(**changes, **short), make_graph(), launch(tmp_path / "run"))
    assert run.progress.step == 2 and run.progress.skipped_steps == 0
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert ("critic_loss" in rows[-1]) == (changes.get("weights", {}).get("adversarial") != 0.0)
    assert ("structure" in rows[-1]) == ("adversarial" in changes)
    assert ("squared" in rows[-1]) == (changes.get("weights", {}).get("squared") != 0.0)
    assert load_transfer(run.folder).network.config == tiny(**changes).model


def test_a_graph_of_another_size_is_refused(tmp_path):
    with raises_mentioning(ValueError, "graph", "learned", 128, 64):
        train_transfer(tiny(), make_graph(image_size=128), launch(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_more_clusters_than_keypoints_are_refused(tmp_path):
    with raises_mentioning(ValueError, "clusters", "keypoints", 4, 5):
        train_transfer(tiny(model={"clusters": 5}), make_graph(), launch(tmp_path / "run"))


def test_both_frames_of_a_pair_are_mirrored_or_neither():
    pairs = torch.arange(40 * 2 * 3 * 2 * 2).reshape(40, 2, 3, 2, 2)
    flipped = flip_some(pairs, probability=0.5, generator=torch.Generator().manual_seed(0))
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(flipped, pairs, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(flipped, pairs, strict=True)]
    assert all(one != other for one, other in zip(mirrored, same, strict=True))
    assert 10 < sum(mirrored) < 30


def test_some_pairs_are_varied_both_frames_alike():
    frames = torch.rand(40, 1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    pairs = frames.expand(-1, 2, -1, -1, -1).clone()
    vary, draws = VaryPairs(0.5), [torch.Generator().manual_seed(seed) for seed in (0, 0, 1)]
    varied, again, other = (vary(pairs, generator=draw) for draw in draws)
    assert torch.equal(varied, again) and not torch.equal(varied, other)
    assert torch.equal(varied[:, 0], varied[:, 1])
    assert varied.min() >= 0 and varied.max() <= 1
    changes = (varied - pairs).abs().mean((1, 2, 3, 4))
    assert 10 < int((changes > 0.025).sum()) < 30 and int((changes == 0).sum()) == 40 - int((changes > 0.025).sum())
    assert VaryPairs(0.0)(pairs, generator=draws[0]) is pairs


def test_colours_and_places_are_varied():
    tint = torch.tensor([0.2, 0.0, -0.2]).view(3, 1, 1)
    ramp = (torch.linspace(0.25, 0.75, 32) + tint).expand(8, 2, 3, 32, 32).clone()
    varied = VaryPairs(1.0)(ramp, generator=torch.Generator().manual_seed(0))
    inner = varied[:, 0, :, 8:24, 8:24]
    assert inner.diff(dim=-2).abs().mean() > 5e-4  # a ramp along x, turned, rises along y too
    assert (inner[:, 0] - inner[:, 2] - 0.4).abs().mean() > 5e-3


def test_edge_maps_of_clusters_make_up_the_whole():
    graph = make_graph()
    config = tiny(model={"clusters": 2}).model
    from autolink_gen.models.transfer import TransferNetwork

    whole = Transfer(graph, TransferNetwork(config), torch.tensor([0, 0, 1, 1]), torch.zeros(0, 4, 2))
    keypoints = torch.rand(2, 4, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    maps = whole.edge_maps(keypoints)
    assert maps.shape == (2, 2, 64, 64)
    assert torch.allclose(maps.amax(1, keepdim=True), graph.edge_map(keypoints, 64), atol=1e-6)
    assert not torch.equal(maps[:, :1], maps[:, 1:])
