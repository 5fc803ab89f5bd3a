"""Updates that the device itself holds back keep the promises of those that the host does; a CPU stands for it."""

import json
from pathlib import Path

import pytest
import torch
from helpers.messages import raises_mentioning
from helpers.tiny_runs import KINDS, train_tiny
from torch import Tensor, nn

from autolink_gen.checkpoints import WEIGHTS_NAME, read_weights
from autolink_gen.config import OptimiserConfig
from autolink_gen.training import graph as graph_training
from autolink_gen.training.engine import Run
from autolink_gen.training.guards import RunningStatistics
from autolink_gen.training.launch import Launch
from autolink_gen.training.optimisers import MovingAverage, fuse, load_moments, make_optimiser

LONG = {"steps": 12, "save_every": 12, "grid_every": 99}


def launch(folder: Path) -> Launch:
    return Launch(folder=folder, devices="cpu", progress=False)


def weights(run: Run) -> dict[str, Tensor]:
    return read_weights(run.folder / WEIGHTS_NAME)[1]


def losses(run: Run) -> list[float]:
    return [json.loads(line)["loss"] for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", KINDS)
def test_both_guards_train_alike(tmp_path: Path, request: pytest.FixtureRequest, kind: str) -> None:
    on_host = train_tiny(kind, launch(tmp_path / "host"), steps=4, save_every=4)
    request.getfixturevalue("device_decides")
    on_device = train_tiny(kind, launch(tmp_path / "device"), steps=4, save_every=4)
    assert losses(on_device) == pytest.approx(losses(on_host), rel=1e-3)
    found = weights(on_device)
    for name, value in weights(on_host).items():
        torch.testing.assert_close(found[name], value, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("first", ["host", "device"])
def test_a_run_goes_on_where_the_other_guard_left_it(
    tmp_path: Path, request: pytest.FixtureRequest, first: str
) -> None:
    """As a run that moves from a CPU to a GPU, or back: moments and counts of steps are taken over."""
    whole = train_tiny("gan", launch(tmp_path / "whole"), steps=6, save_every=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autolink_gen.training.guarded_updates.decides_on_device", lambda fabric: first == "device")
        train_tiny("gan", launch(tmp_path / "parts"), steps=3, save_every=3)
        patch.setattr("autolink_gen.training.guarded_updates.decides_on_device", lambda fabric: first == "host")
        moved = train_tiny("gan", launch(tmp_path / "parts"), steps=6, save_every=3)
    for optimiser in (moved.optimiser, moved.critic_optimiser):
        assert all(bool(group["fused"]) == (first == "host") for group in optimiser.param_groups)
        assert {int(state["step"]) for state in optimiser.state.values()} == {6}
    assert losses(moved) == pytest.approx(losses(whole), rel=1e-2)


def bad_from(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """Images that are not finite from a step on."""
    plain, step = graph_training.flip_some, iter(range(10**6))

    def flip(images: Tensor, **options: object) -> Tensor:
        return plain(images * (1.0 if next(step) < first else float("nan")), **options)  # type: ignore[arg-type]

    monkeypatch.setattr(graph_training, "flip_some", flip)


def test_steps_in_a_row_that_are_bad_stop_the_run_when_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device_decides: None, caplog: pytest.LogCaptureFixture
) -> None:
    bad_from(monkeypatch, 5)
    with raises_mentioning(ValueError, "step 8", "3 steps in a row", "the last save is of step 4", "optimiser.lr"):
        train_tiny("graph", launch(tmp_path / "run"), **LONG | {"save_every": 4, "log_every": 10, "max_bad_steps": 3})
    assert [f"step {number} skipped" in caplog.text for number in (5, 6, 7, 8)] == [False, True, True, True]
    assert not (tmp_path / "run" / "checkpoints" / "step-00000008").exists(), "nothing is saved after bad steps"


def test_nothing_is_read_between_the_steps_that_are_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device_decides: None
) -> None:
    read_at = []
    plain = Run._read_notes
    monkeypatch.setattr(Run, "_read_notes", lambda run: (read_at.append(run.progress.step), plain(run)))
    run = train_tiny("graph", launch(tmp_path / "run"), **LONG | {"log_every": 4})
    assert [step for step in read_at if step < 11] == [3, 7], "before the fourth and the eighth step are counted"
    assert len(run.progress.recent_losses) == 0, "those of all steps went into the last save's mean"
    assert [json.loads(line)["step"] for line in (run.folder / "metrics.jsonl").read_text().splitlines()] == [4, 8, 12]


def test_the_best_save_is_told_by_the_losses_of_all_steps(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    best = []
    for name in ("host", "device"):
        if name == "device":
            request.getfixturevalue("device_decides")
        run = train_tiny("graph", launch(tmp_path / name), steps=6, save_every=6, log_every=4)
        best.append(run.progress.best_loss)
    assert best[1] == pytest.approx(best[0], rel=1e-4)


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 1))


def test_the_average_without_a_wait_equals_the_plain_one() -> None:
    plain_model, model = small_network(), small_network()
    plain, ours = MovingAverage(plain_model, 0.9), MovingAverage(model, 0.9)
    for number in range(5):
        images = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(number))
        is_good = number != 2
        for network in (plain_model, model):
            statistics = RunningStatistics(network)
            statistics.keep()
            network(images)  # moves the statistics
            statistics.put_back_unless(torch.tensor(is_good))  # as a run does before it takes up the model
            for parameter in network.parameters():
                parameter.data.add_(0.1)
        if is_good:
            plain.update_parameters(plain_model)
        before = {name: value.clone() for name, value in ours.state_dict().items()}
        ours.update_if(model, torch.tensor(float(is_good)))
        is_same = all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())
        assert is_same == (not is_good)
    floats = {name for name, value in plain.state_dict().items() if value.is_floating_point()}
    for name in floats:
        torch.testing.assert_close(ours.state_dict()[name], plain.state_dict()[name])
    assert int(ours.n_averaged) == int(plain.n_averaged) == 4


@pytest.mark.parametrize("was_fused", [True, False])
def test_whether_an_optimiser_is_fused_is_not_restored(was_fused: bool) -> None:
    optimisers = []
    for is_fused in (was_fused, not was_fused):
        network = small_network()
        optimiser = make_optimiser(network, OptimiserConfig(), own_rates=[])
        if is_fused:
            fuse(optimiser)
        network(torch.ones(2, 3, 4, 4)).sum().backward()
        optimiser.step()
        optimisers.append(optimiser)
    load_moments(optimisers[1], optimisers[0].state_dict())
    assert all(bool(group["fused"]) != was_fused for group in optimisers[1].param_groups)
    optimisers[1].step()
    assert {int(state["step"]) for state in optimisers[1].state.values()} == {2}
