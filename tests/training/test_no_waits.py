"""The steps of the loops ask the device for no number: they run on the meta device, whose tensors have none."""

import importlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.meta_fabric import MetaFabric
from helpers.tiny_runs import KINDS, graph_of_tiny_runs, tiny_run_config, train_tiny
from torch import Tensor, nn
from torch.utils.data import Dataset

from autolink_gen.data.source import open_source
from autolink_gen.inference.transfer import Transfer
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.generator import Generator
from autolink_gen.models.graph_analysis import cluster_labels
from autolink_gen.models.transfer import TransferNetwork
from autolink_gen.training import gan, graph, transfer
from autolink_gen.training.adversary import make_adversary
from autolink_gen.training.batches import open_images
from autolink_gen.training.engine import Run
from autolink_gen.training.graph_loss import GraphLoss
from autolink_gen.training.launch import Launch
from autolink_gen.training.optimisers import make_optimiser
from autolink_gen.training.step_notes import StepNote, StepNotes

STEPS = 3


def make_run(folder: Path, config: Any, network: nn.Module, critic: nn.Module | None = None) -> Run:
    pair = None if critic is None else (critic, make_optimiser(critic, config.optimiser, own_rates=[]))
    return Run(
        MetaFabric(),
        Launch(folder=folder, progress=False),
        config.training,
        model=network,
        optimiser=make_optimiser(network, config.optimiser, own_rates=[]),
        critic=pair,
        on_save=lambda run: None,
    )


def train_graph(folder: Path, config: Any) -> None:
    model = AutoLink(config.model)
    run = make_run(folder, config, model)
    loss_of = GraphLoss(config, model, device="meta")
    graph._loop(
        run, config, model, open_images(open_source("puppets"), hold_out=0, size=64, fit="crop", seed=0), loss_of
    )


def train_gan(folder: Path, config: Any) -> None:
    run = make_run(folder, config, Generator(config.model), make_adversary(config.model, config.adversarial))
    gan._loop(run, config, meta_graph(), puppets())


def train_transfer(folder: Path, config: Any) -> None:
    learned = graph_of_tiny_runs()
    pairs = transfer._open_pairs(open_source("puppets"), config, learned, split="train")
    network = TransferNetwork(config.model)
    labels = cluster_labels(learned.edge_weights, config.model.clusters).to("meta")
    adversary = transfer._adversary(config)
    run = make_run(folder, config, network, None if adversary is None else adversary[0])
    model = Transfer(meta_graph(), network, labels, torch.zeros(2, 3, 2, device="meta"))
    transfer._loop(run, config, model, pairs, transfer._Losses(config).to("meta"))


def puppets() -> Dataset[Tensor]:
    return open_images(open_source("puppets"), hold_out=0, size=64, fit="crop", seed=0)


def meta_graph() -> AutoLink:
    return graph_of_tiny_runs().to("meta").requires_grad_(False).prepare_for_inference()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps each reading of the notes would have read; neither they nor weights have numbers here."""
    counts: list[int] = []
    monkeypatch.setattr(StepNotes, "read", lambda notes: counts.append(len(notes._steps)) or [])
    monkeypatch.setattr(Run, "save", lambda run: setattr(run, "_saved_at", run.progress.step))
    return counts


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at once, before the steps, is known; fused optimisers are let loose on the meta device."""
    monkeypatch.setattr("autolink_gen.training.structure.linked_keypoints", lambda weights: torch.arange(len(weights)))
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: nullcontext())  # which that device has not
    adam = importlib.import_module("torch.optim.adam")
    monkeypatch.setattr(adam, "_device_dtype_check_for_fused", lambda *args, **options: None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_asks_the_device_for_nothing(
    tmp_path: Path, device_decides: None, reads: list[int], set_up: None, kind: str
) -> None:
    config = tiny_run_config(kind, steps=STEPS, save_every=99, log_every=99)
    trains = {"gan": train_gan, "transfer": train_transfer}
    trains.get(kind, train_graph)(tmp_path, config)
    assert reads == [STEPS], "the notes of all steps, once, after the last"


def test_what_waits_for_a_number_fails_there() -> None:
    """Or the test above could not fail."""
    value = torch.ones((), device="meta")
    for wait in (bool, float, torch.Tensor.cpu, torch.Tensor.nonzero):
        with pytest.raises((RuntimeError, NotImplementedError)):
            wait(value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_on_cuda_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """After the first step; what is read at the end may wait. PyTorch itself raises where it would."""
    plain_end, plain_read = StepNotes.end_step, StepNotes.read

    def end_step(notes: StepNotes, step: int, *, penalised: bool) -> None:
        plain_end(notes, step, penalised=penalised)
        torch.cuda.set_sync_debug_mode("error")

    def read(notes: StepNotes) -> list[StepNote]:
        torch.cuda.set_sync_debug_mode("default")
        return plain_read(notes)

    monkeypatch.setattr(StepNotes, "end_step", end_step)
    monkeypatch.setattr(StepNotes, "read", read)
    try:
        launch = Launch(folder=tmp_path / "run", devices="cuda", progress=False, compile=False)
        run = train_tiny(kind, launch, steps=4, save_every=99, log_every=99)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (run.progress.step, run.progress.skipped_steps) == (4, 0)
