"""How many images a device is given at once, and what happens where they are too many for its memory."""

from collections.abc import Iterator, Sequence

import pytest
import torch
from helpers.messages import raises_mentioning

from autolink_gen.common.batch_sizes import BatchSize, fitting_batch_size

_MIB = 2**20


@pytest.mark.parametrize(
    ("free_mib", "expected"), [(80_000, 512), (1000, 50), (100, 16), (0, 16)], ids=["much", "some", "little", "none"]
)
def test_half_of_the_free_memory_of_a_cuda_device_counts(
    monkeypatch: pytest.MonkeyPatch, free_mib: int, expected: int
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free_mib * _MIB, 80_000 * _MIB))
    assert fitting_batch_size("cuda:0", usual=8, bytes_each=10 * _MIB) == expected


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_elsewhere_the_usual_number_is_taken(device: str) -> None:
    assert fitting_batch_size(device, usual=8, bytes_each=1) == 8


class Small:
    """A device with the memory for three items; notes what it was given."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def __call__(self, items: Sequence[int] | torch.Tensor) -> int:
        self.given.append(len(items))
        if len(items) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return int(sum(items))


def test_a_batch_that_is_too_large_is_halved_and_stays_so() -> None:
    size, device = BatchSize(16), Small()
    assert list(size.results(device, range(5))) == [0 + 1, 2 + 3, 4]
    assert device.given == [5, 2, 2, 1] and size.value == 2
    assert list(size.results(device, torch.arange(3))) == [0 + 1, 2]
    assert device.given == [5, 2, 2, 1, 2, 1]


def test_one_item_that_is_too_large_is_an_error() -> None:
    def work(items: Sequence[int]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        list(BatchSize(4).results(work, range(4)))


def test_another_error_is_no_reason_to_halve() -> None:
    size = BatchSize(4)
    with pytest.raises(RuntimeError, match="broken"):
        list(size.results(lambda items: (_ for _ in ()).throw(RuntimeError("broken")), range(4)))
    assert size.value == 4


def test_batches_hold_what_came_before_an_error() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("damaged")

    batches, seen = BatchSize(3).batches(items()), []
    with pytest.raises(ValueError, match="damaged"):
        seen.extend(batches)
    assert seen == [[0, 1, 2], [3, 4]]


def test_batches_are_smaller_where_their_items_are_large() -> None:
    assert list(BatchSize(3).batches([1, 1, 1, 9, 9, 1], at_most=lambda item: 1 if item == 9 else 4)) == [
        [1, 1, 1], [9], [9], [1]
    ]  # fmt: skip


def test_a_batch_size_below_one_is_refused() -> None:
    with raises_mentioning(ValueError, "batch_size", 0):
        BatchSize(0)
