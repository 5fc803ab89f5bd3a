"""How many images a device is given at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

_LEAST, _MOST = 16, 512  # more make no device faster
_SHARE = 0.5  # of the free memory: convolutions want workspace too
T = TypeVar("T")
ResultT = TypeVar("ResultT")


def fitting_batch_size(device: torch.device | str, *, usual: int, bytes_each: int) -> int:
    """The images at once: on a CUDA device those that fit in half of its free memory, 16 to 512; else ``usual``.

    ``bytes_each`` is the memory that one image takes at its most.
    """
    device = torch.device(device)
    if device.type != "cuda":
        return usual
    free, _ = torch.cuda.mem_get_info(device)
    return max(_LEAST, min(_MOST, int(free * _SHARE) // bytes_each))


class BatchSize:
    """The number of items at once, ``value``, halved where the device's memory does not suffice for them.

    Raises ValueError for a value below 1.
    """

    def __init__(self, value: int) -> None:
        if value < 1:
            raise ValueError(f"batch_size is {value}; it must be at least 1")
        self.value = value

    def batches(self, items: Iterable[T], *, at_most: Callable[[T], int] | None = None) -> Iterator[list[T]]:
        """The items, at most ``value`` together; before an error of the items come those that it left.

        Of the first of a batch ``at_most`` says how many such items there may be.
        """
        batch: list[T] = []
        try:
            for item in items:
                batch.append(item)
                if len(batch) >= self.value or (at_most is not None and len(batch) >= at_most(batch[0])):
                    yield batch
                    batch = []
        except Exception:
            if batch:
                yield batch
            raise
        if batch:
            yield batch

    def results(self, work: Callable[[Any], ResultT], items: Sequence[Any] | Tensor) -> Iterator[ResultT]:
        """What the work makes of the items, at most ``value`` at a time.

        Raises torch.OutOfMemoryError where one item alone is too much.
        """
        start = 0
        while start < len(items):
            part = items[start : start + self.value]
            made = _tried(work, part)
            if made:
                start += len(part)
                yield made.pop()
            else:
                self.value = len(part) // 2
                torch.cuda.empty_cache()


def _tried(work: Callable[[Any], ResultT], part: Sequence[Any] | Tensor) -> list[ResultT]:
    """The result, or none where a part of the items may fit; by then the error's frames hold no tensors any more."""
    try:
        return [work(part)]
    except torch.OutOfMemoryError:
        if len(part) == 1:
            raise
        return []
