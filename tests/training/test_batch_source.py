"""Batches on the device: the same whether files are read or images are kept, which are read once."""

import errno
import multiprocessing
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from helpers.messages import assert_mentions
from torch.utils.data import Dataset

from autolink_gen.config import GraphRunConfig, build
from autolink_gen.data.mixture import Mixture
from autolink_gen.training import batch_source, kept_images
from autolink_gen.training import graph as graph_training
from autolink_gen.training.batch_source import BatchSource, automatic_workers, room_for_images
from autolink_gen.training.batches import StepSampler, endless_batches
from autolink_gen.training.engine import Run
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.saves import read_newest

CPU = torch.device("cpu")
ITEM_BYTES = 3 * 2 * 2


class Numbers(Dataset[torch.Tensor]):
    """Images that are their own index; `read` lists those that were read."""

    def __init__(self, count: int = 10, *, size: int = 2) -> None:
        self.count, self.size, self.read = count, size, list[int]()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        self.read.append(index)
        return torch.full((3, self.size, self.size), index, dtype=torch.uint8) + torch.arange(
            self.size, dtype=torch.uint8
        )


def keep_images(monkeypatch: pytest.MonkeyPatch, room_bytes: int = 2**20) -> None:
    """Let a CPU keep images, as a CUDA device does."""
    monkeypatch.setattr(batch_source, "room_for_images", lambda device: room_bytes)


def source_of(dataset: Dataset[torch.Tensor], sampler: StepSampler, *, workers: int | None = 0) -> BatchSource:
    return BatchSource(dataset, sampler, workers=workers, device=CPU)


@pytest.mark.parametrize("start_step", [0, 1, 7])
@pytest.mark.parametrize(("batch_size", "rank", "world_size"), [(4, 0, 1), (5, 0, 1), (12, 0, 1), (3, 1, 2)])
def test_kept_images_give_the_batches_that_files_give(monkeypatch, batch_size, rank, world_size, start_step):
    def sampler() -> StepSampler:
        return StepSampler(10, batch_size, seed=3, start_step=start_step, rank=rank, world_size=world_size)

    keep_images(monkeypatch)
    read, kept = endless_batches(Numbers(), sampler()), source_of(Numbers(), sampler())
    for expected, batch in islice(zip(read, kept, strict=True), 40):
        assert batch.dtype == torch.uint8 and torch.equal(batch, expected)


def test_each_image_is_read_once(monkeypatch):
    keep_images(monkeypatch)
    dataset = Numbers()
    list(islice(source_of(dataset, StepSampler(10, 4, seed=0)), 20))
    assert sorted(dataset.read) == list(range(10))


def test_images_are_kept_only_where_all_have_room(monkeypatch):
    for room, reads in ((10 * ITEM_BYTES, 10), (10 * ITEM_BYTES - 1, 80)):
        keep_images(monkeypatch, room)
        dataset = Numbers()
        batches = list(islice(source_of(dataset, StepSampler(10, 4, seed=0)), 20))
        assert len(dataset.read) == reads
        expected = list(islice(endless_batches(Numbers(), StepSampler(10, 4, seed=0)), 20))
        assert torch.equal(torch.cat(batches), torch.cat(expected))


def test_images_of_a_small_set_that_come_round_again_are_kept_once(monkeypatch):
    few, many = Numbers(3), Numbers(9)
    expected = endless_batches(Mixture([Numbers(3), Numbers(9)]), StepSampler(18, 4, seed=0))
    keep_images(monkeypatch, 12 * ITEM_BYTES)
    source = source_of(Mixture([few, many]), StepSampler(18, 4, seed=0))
    for _ in range(20):
        assert torch.equal(next(source), next(expected))
    assert (set(few.read), sorted(many.read)) == (set(range(3)), list(range(9)))
    few.read.clear()
    next(source)
    assert not few.read


def test_the_processes_that_read_end_once_all_is_kept(monkeypatch):
    keep_images(monkeypatch)
    before = set(multiprocessing.active_children())
    source = source_of(Numbers(), StepSampler(10, 4, seed=0), workers=2)
    expected = endless_batches(Numbers(), StepSampler(10, 4, seed=0))
    assert torch.equal(next(source), next(expected))
    assert len(set(multiprocessing.active_children()) - before) == 2
    for _ in range(20):
        assert torch.equal(next(source), next(expected))
    assert set(multiprocessing.active_children()) <= before


def test_a_cpu_keeps_none_and_a_cuda_device_a_quarter_of_what_is_free(monkeypatch):
    assert room_for_images(CPU) == 0
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (400, 1000))
    assert room_for_images(torch.device("cuda", 0)) == 100


# ---- how many processes read ----


def a_machine(monkeypatch: pytest.MonkeyPatch, *, cores: int, shared_bytes: int | None) -> None:
    """A machine of so many cores, with so much shared memory, or none that can be looked at."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    place = Path("/nowhere") if shared_bytes is None else Path.cwd()
    usage = type("Usage", (), {"free": shared_bytes})
    monkeypatch.setattr(batch_source, "_SHARED_MEMORY", place)
    monkeypatch.setattr(batch_source.shutil, "disk_usage", lambda path: usage)


@pytest.mark.parametrize(
    ("cores", "shared_bytes", "processes", "expected"),
    [
        (2, None, 1, 2),
        (64, None, 1, 8),
        (16, None, 4, 4),
        (2, None, 4, 1),
        (64, 2**40, 1, 8),
        (64, 64 * 2**20, 1, 7),
        (64, 64 * 2**20, 2, 3),
        (64, 2**20, 1, 0),
    ],
)
def test_automatic_workers_share_the_cores_and_the_shared_memory(monkeypatch, cores, shared_bytes, processes, expected):
    a_machine(monkeypatch, cores=cores, shared_bytes=shared_bytes)
    assert automatic_workers(3 * 10**6, processes=processes) == expected


def test_nobody_else_reads_for_a_cpu_unless_that_is_asked_for(monkeypatch):
    a_machine(monkeypatch, cores=8, shared_bytes=None)
    before = set(multiprocessing.active_children())
    source = source_of(Numbers(), StepSampler(10, 4, seed=0), workers=None)
    next(source)
    assert source.workers == 0 and set(multiprocessing.active_children()) == before


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """A CPU that passes for a CUDA device without room for images; the threads that pinned something for it."""
    threads = list[threading.Thread]()
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: threads.append(threading.current_thread()) or self)
    monkeypatch.setattr(batch_source, "to_device", lambda batch, device: batch)
    monkeypatch.setattr(kept_images, "to_device", lambda batch, device: batch)
    keep_images(monkeypatch, 0)
    return threads


def for_cuda(dataset: Dataset[torch.Tensor], *, workers: int | None) -> BatchSource:
    return BatchSource(dataset, StepSampler(10, 4, seed=0), workers=workers, device=torch.device("cuda"))


def test_a_cuda_device_is_read_for_by_as_many_as_its_batches_allow(monkeypatch, pinned):
    a_machine(monkeypatch, cores=64, shared_bytes=3 * 4 * ITEM_BYTES * 2)
    source = for_cuda(Numbers(), workers=None)
    assert next(source).shape == (4, 3, 2, 2) and source.workers == 2


@pytest.mark.parametrize("room_bytes", [0, 10 * ITEM_BYTES])
def test_a_thread_pins_what_other_processes_read(monkeypatch, pinned, room_bytes):
    keep_images(monkeypatch, room_bytes)
    before = set(multiprocessing.active_children())
    source, expected = for_cuda(Numbers(), workers=1), endless_batches(Numbers(), StepSampler(10, 4, seed=0))
    for _ in range(20):
        assert torch.equal(next(source), next(expected))
    assert pinned and threading.main_thread() not in pinned
    del source
    assert set(multiprocessing.active_children()) <= before and not any(thread.is_alive() for thread in pinned)


def test_what_cannot_be_read_for_a_cuda_device_is_the_same_error(monkeypatch, pinned):
    monkeypatch.setattr(Numbers, "__getitem__", vanishing(StepSampler(10, 4, seed=0).indices(2)[0]))
    source = for_cuda(Numbers(), workers=1)
    assert [len(next(source)) for _ in range(2)] == [4, 4]
    with pytest.raises(OSError) as caught:
        next(source)
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, "/drive/7.png")


def vanishing(gone: int) -> Callable[[Numbers, int], torch.Tensor]:
    """How images are read where one cannot be."""
    plain = Numbers.__getitem__

    def read(dataset: Numbers, index: int) -> torch.Tensor:
        if index == gone:
            raise OSError(errno.EIO, "Input/output error", "/drive/7.png")
        return plain(dataset, index)

    return read


# ---- whole runs ----


def config(**training: int) -> GraphRunConfig:
    length = {"steps": 8, "batch_size": 4, "save_every": 4, "grid_every": 8, "log_every": 1}
    return build(
        GraphRunConfig,
        {
            "model": {"num_keypoints": 3, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
            "data": {"flip": 0.5},
            "perceptual": {"features": "random", "distance": "l1"},
            "training": {**length, **training},
        },
    )


def train(folder: Path, **training: int) -> Run:
    return train_graph(config(**training), Launch(folder=folder, devices=1, progress=False))


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    return read_newest(run.checkpoints)[0]


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> Numbers:
    """The ten images of any run."""
    dataset = Numbers(size=64)
    monkeypatch.setattr(graph_training, "open_images", lambda *args, **options: dataset)
    return dataset


def test_a_run_on_kept_images_is_the_run_on_files_and_resumes_exactly(tmp_path, monkeypatch, images):
    from_files = weights_of(train(tmp_path / "files"))
    keep_images(monkeypatch)
    straight = weights_of(train(tmp_path / "kept"))
    train(tmp_path / "halves", steps=4)
    halves = weights_of(train(tmp_path / "halves"))
    for weights in (straight, halves):
        assert [name for name in from_files if not torch.equal(weights[name], from_files[name])] == []


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_vanish_before_they_are_kept_end_a_run_after_a_save(tmp_path, monkeypatch, images, workers):
    keep_images(monkeypatch)
    settings = config(save_every=8)
    settings = replace(settings, data=replace(settings.data, workers=workers))
    launch = Launch(folder=tmp_path / "run", devices=1, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(Numbers, "__getitem__", vanishing(StepSampler(10, 4, seed=0).indices(1)[0]))
        patch.setattr(graph_training.Samples, "refresh", lambda samples, run: None)
        with pytest.raises(OSError) as caught:
            train_graph(settings, launch)
    assert_mentions(caught, "/drive/7.png", "Input/output error", "step 1", "save")
    assert read_newest(tmp_path / "run" / "checkpoints")[1]["progress"]["step"] == 1
    assert train_graph(settings, launch).first_step == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("workers", [0, None])
def test_a_cuda_device_gets_the_same_batches(workers):
    sampler = StepSampler(10, 4, seed=0)
    source = BatchSource(Numbers(), sampler, workers=workers, device=torch.device("cuda"))
    expected = endless_batches(Numbers(), StepSampler(10, 4, seed=0))
    for _ in range(20):
        batch = next(source)
        assert batch.is_cuda and torch.equal(batch.cpu(), next(expected))
