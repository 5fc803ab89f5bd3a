"""Batches that depend on (seed, step) alone, so that resuming is exact."""

from collections.abc import Iterable, Iterator
from enum import IntEnum

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from autolink_gen.common.devices import to_device
from autolink_gen.data.held_out import open_people
from autolink_gen.data.images import FIT
from autolink_gen.data.sources.base import Source
from autolink_gen.training.workers import Failing, collate, ignore_interrupts, worker_batches, worker_context


class Stream(IntEnum):
    """Independent streams of random numbers for one seed."""

    STEP = 0
    ORDER = 1  # of the images of an epoch
    SAMPLE_MASKS = 2  # of the graph learner's samples
    GRID_STYLES = 3
    MEASURED_STYLES = 4


class StepSampler(Sampler[list[int]]):
    """Endless batches of indices from ``start_step`` on: every image once an epoch, each epoch reshuffled.

    ``batch_size`` counts one process's images; ``rank`` of ``world_size`` processes takes every
    ``world_size``-th index of the common order.
    """

    def __init__(
        self,
        num_items: int,
        batch_size: int,
        *,
        seed: int,
        start_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.num_items, self.batch_size, self.seed = num_items, batch_size, seed
        self.start_step, self.rank, self.world_size = start_step, rank, world_size
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.long)

    def indices(self, step: int) -> list[int]:
        """The indices of one step's batch."""
        first = step * self.batch_size * self.world_size + self.rank
        return [self._item(first + place * self.world_size) for place in range(self.batch_size)]

    def _item(self, place: int) -> int:
        epoch, within = divmod(place, self.num_items)
        if epoch != self._epoch:
            self._order = torch.randperm(
                self.num_items, generator=step_generator(self.seed, epoch, stream=Stream.ORDER)
            )
            self._epoch = epoch
        return int(self._order[within])

    def __iter__(self) -> Iterator[list[int]]:
        step = self.start_step
        while True:
            yield self.indices(step)
            step += 1


def step_generator(seed: int, step: int, *, rank: int = 0, stream: int = Stream.STEP) -> torch.Generator:
    """A generator for each (seed, step, rank, stream), independent of earlier steps."""
    mixed = seed
    for value in (step, rank, stream):  # the constants of Knuth's multiplicative generator MMIX
        mixed = ((mixed ^ value) * 6364136223846793005 + 1442695040888963407) % 2**63
    return torch.Generator().manual_seed(mixed)


def endless_batches(
    dataset: Dataset[Tensor], sampler: Iterable[list[int]], *, workers: int = 0
) -> Iterator[UInt8[Tensor, "B 3 S S"]]:
    """Batches of images in the sampler's endless order, read by `workers` processes; with 0, by this one.

    Raises LostWorkerError where such a process was killed, and what reading raised where images cannot be read.
    """
    # The loader draws a seed for its workers; from a generator of its own it does not touch the global one.
    generator = torch.Generator()
    if not workers:
        return iter(DataLoader(dataset, batch_sampler=sampler, collate_fn=collate, generator=generator))
    loader = DataLoader(
        Failing(dataset),
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        multiprocessing_context=worker_context(),
        worker_init_fn=ignore_interrupts,
        generator=generator,
    )
    return worker_batches(loader)


def open_images(source: Source, *, hold_out: int, size: int, fit: FIT, seed: int) -> Dataset[Tensor]:
    """The training images of a run, without every `hold_out`-th person; ValueError where none can be read."""
    if hold_out:
        dataset = open_people(source, every=hold_out, held_out=False, size=size, fit=fit)
    else:
        dataset = source.images(size=size, fit=fit, seed=seed)
    dataset[0]  # before anything is made of them
    return dataset


def to_float(images: UInt8[Tensor, "B 3 S S"], *, device: torch.device | str = "cpu") -> Float[Tensor, "B 3 S S"]:
    """Images in [0, 1], channels last in memory, which convolutions on a CPU prefer."""
    return to_device(images, device).float().div_(255).contiguous(memory_format=torch.channels_last)


def flip_some(
    images: Shaped[Tensor, "B *rest S S"], *, probability: float, generator: torch.Generator
) -> Shaped[Tensor, "B *rest S S"]:
    """Mirror each image, or each group of images as a whole, with the given probability."""
    if probability == 0:
        return images
    flipped = torch.rand(len(images), generator=generator) < probability
    return torch.where(to_device(flipped, images.device).view(-1, *[1] * (images.ndim - 1)), images.flip(-1), images)
