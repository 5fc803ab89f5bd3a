"""Where a run's batches come from: files, read by processes of their own, and images kept on the device."""

import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.common.devices import to_device
from autolink_gen.common.fabric import Fabric
from autolink_gen.config import RunLengthConfig
from autolink_gen.data.video.random_frames import Draw, RandomFrames
from autolink_gen.training.batches import StepSampler, endless_batches
from autolink_gen.training.kept_images import KeptFrames, KeptImages, KeptItems
from autolink_gen.training.launch import share_batch

MOST_WORKERS = 8
_HELD = 3  # batches of each such process in shared memory: two read beforehand, as torch has it, and one on its way
_SHARED_MEMORY = Path("/dev/shm")


class BatchSource(Iterator[Tensor]):
    """Endless batches of uint8 images on a device, in the sampler's order, whichever way they come there.

    `workers` processes read them: as many as are good for the device where it is None, which is settled with the first
    batch. `processes` train on this machine and share its cores. Raises what `endless_batches` does.
    """

    def __init__(
        self,
        dataset: Dataset[Tensor],
        sampler: StepSampler,
        *,
        workers: int | None,
        device: torch.device,
        processes: int = 1,
    ) -> None:
        self.workers = workers
        self._dataset, self._sampler, self._device, self._processes = dataset, sampler, device, processes
        self._batches: Iterator[Tensor] | None = None

    def __next__(self) -> UInt8[Tensor, "B *item 3 S S"]:
        if self.workers is None:
            self.workers = self._good_number_of_workers()
        if self._batches is None:
            room_bytes = room_for_images(self._device)
            kept = keep(self._dataset, room_bytes=room_bytes, device=self._device) if room_bytes else None
            self._batches = (
                _kept(kept, self._sampler, workers=self.workers, device=self._device)
                if kept is not None
                else _read(self._dataset, self._sampler, workers=self.workers, device=self._device)
            )
        return to_device(next(self._batches), self._device)

    def _good_number_of_workers(self) -> int:
        if self._device.type != "cuda":
            return 0
        first = self._sampler.indices(self._sampler.start_step)
        batch_bytes = len(first) * self._dataset[first[0]].numel()
        return automatic_workers(batch_bytes, processes=self._processes)


def share_of_batches(
    dataset: Dataset[Tensor],
    fabric: Fabric,
    length: RunLengthConfig,
    *,
    start_step: int,
    workers: int | None,
    nodes: int = 1,
) -> BatchSource:
    """This process's share of a run's batches from a step on; ValueError where a batch does not divide."""
    sampler = StepSampler(
        len(dataset),  # type: ignore[arg-type]
        share_batch(length.batch_size, fabric.world_size),
        seed=length.seed,
        start_step=start_step,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
    )
    processes = max(1, fabric.world_size // nodes)
    return BatchSource(dataset, sampler, workers=workers, device=fabric.device, processes=processes)


def automatic_workers(batch_bytes: int, *, processes: int = 1) -> int:
    """How many processes should read for a CUDA device: one for each core, eight at most.

    Their batches have to lie in the shared memory, of which a container has 64 MB as a rule.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    most = min(MOST_WORKERS, max(1, cores // processes))
    if _SHARED_MEMORY.is_dir():
        most = min(most, shutil.disk_usage(_SHARED_MEMORY).free // (processes * _HELD * batch_bytes))
    return most


def room_for_images(device: torch.device) -> int:
    """Bytes that images may take on a device: a quarter of what is free on a CUDA device, nothing on others."""
    return torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else 0


def keep(dataset: Dataset[Tensor], *, room_bytes: int, device: torch.device) -> KeptImages:
    """The images of a data set, to be kept on a device: the frames of clips, or whole items."""
    if isinstance(dataset, RandomFrames):
        return KeptFrames(dataset, room_bytes=room_bytes, device=device)
    return KeptItems(dataset, room_bytes=room_bytes, device=device)


def _read(dataset: Dataset[Any], sampler: Iterable[list[int]], *, workers: int, device: torch.device) -> Iterator[Any]:
    """What is read, pinned where it goes to a CUDA device from other processes."""
    batches = endless_batches(dataset, sampler, workers=workers)
    return _pinned(batches, device) if workers and device.type == "cuda" else batches


def _pinned(batches: Iterator[Any], device: torch.device) -> Iterator[Any]:
    """The same batches, of which a thread receives and pins the next while one is used.

    Differs: torch's own thread would end without a word of what took a process away that reads.
    """
    yield next(batches)  # the main thread starts the processes, and hears of their end
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(_next_pinned, batches, device)
        while True:
            read = coming.result()
            coming = pool.submit(_next_pinned, batches, device)
            yield read


def _next_pinned(batches: Iterator[Any], device: torch.device) -> Any:
    read = next(batches)
    with torch.cuda.device(device):  # a thread begins with the first device
        if isinstance(read, Draw):
            return read._replace(frames=read.frames.pin_memory())
        return read.pin_memory() if isinstance(read, Tensor) else read


def _kept(kept: KeptImages, sampler: StepSampler, *, workers: int, device: torch.device) -> Iterator[Tensor]:
    """Batches of which nothing is read that is kept already; once all is, no process reads any more."""
    steps = iter(sampler)
    begun: deque[tuple[list[int], list[int]]] = deque()  # indices of steps that are read for; those not kept by then

    def to_read() -> Iterator[list[int]]:
        for indices in steps:
            missing = [index for index in indices if not kept.has(index)]
            begun.append((indices, missing))
            yield missing

    batches = _read(kept.reader, to_read(), workers=workers, device=device)
    while not kept.are_complete:
        read = next(batches)
        indices, missing = begun.popleft()
        yield kept.batch(indices, missing=missing, read=read)
    del read, batches  # which ends its processes
    for indices in chain((indices for indices, _ in begun), steps):
        yield kept.batch(indices, missing=(), read=None)
