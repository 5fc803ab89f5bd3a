"""Work beside that of a device: items made before they are needed, and results fetched one item late."""

from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import Any, NamedTuple, TypeVar

import torch

from autolink_gen.common.devices import works_aside

T = TypeVar("T")


class _Made(NamedTuple):
    """An item in a list that its taker empties, or the error in its place; neither: the end."""

    item: list[Any]
    error: BaseException | None = None


def read_ahead(items: Iterable[T], *, beside: torch.device | str) -> Iterator[T]:
    """The items in their order; beside a device a thread makes the next one while one is used, and no more than that.

    An error of the items comes where it arose, after the items before it. Where the consumer stops, the item that is
    being made is finished first; then the items are closed, and the thread has ended. Beside the CPU, whose cores the
    network needs, there is no thread.
    """
    return _in_thread(items) if works_aside(beside) else iter(items)


def one_behind(items: Iterable[T], *, beside: torch.device | str) -> Iterator[T]:
    """The items in their order; beside a device each is given out once the next one is made.

    If to make one is to begin work on the device, the device is busy while the work before it is fetched and used. An
    error of the items comes after the items before it.
    """
    return _late(items) if works_aside(beside) else iter(items)


def _in_thread(items: Iterable[T]) -> Iterator[T]:
    made: SimpleQueue[_Made] = SimpleQueue()
    wanted, is_stopped = Semaphore(1), False

    def make() -> None:
        iterator = iter(items)
        error: BaseException | None = None
        try:
            while wanted.acquire() and not is_stopped:
                made.put(_Made([next(iterator)]))
        except StopIteration:
            pass
        except BaseException as raised:  # noqa: BLE001 - raised again where the items are used
            error = raised
        finally:
            if isinstance(iterator, Generator):
                iterator.close()
            made.put(_Made([], error))

    thread = Thread(target=make, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if not item:
                return
            wanted.release()
            yield item.pop()
    finally:
        is_stopped = True
        wanted.release()
        thread.join()


def _late(items: Iterable[T]) -> Iterator[T]:
    iterator = iter(items)
    waiting = list(islice(iterator, 1))
    while waiting:
        error: Exception | None = None
        try:
            following = list(islice(iterator, 1))
        except Exception as raised:  # noqa: BLE001 - raised below
            following, error = [], raised
        yield waiting.pop()
        if error is not None:
            raise error
        waiting = following
