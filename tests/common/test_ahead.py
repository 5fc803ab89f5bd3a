"""Items made in a thread before they are needed, and results fetched one item late."""

import _thread
import threading
from collections.abc import Iterator

import pytest

from autolink_gen.common.ahead import one_behind, read_ahead

_WAIT_S = 20


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


def test_the_next_item_is_made_while_one_is_used() -> None:
    begun = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        begun.set()
        yield 1

    ahead = read_ahead(items(), beside="cuda")
    assert next(ahead) == 0 and begun.wait(_WAIT_S)
    assert list(ahead) == [1]


def test_no_more_than_the_next_item_is_made() -> None:
    made: list[int] = []
    third = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            if number == 2:
                third.set()
            yield number

    ahead = read_ahead(items(), beside="cuda")
    assert next(ahead) == 0 and not third.wait(0.2)
    assert next(ahead) == 1 and third.wait(_WAIT_S)
    assert list(ahead) == list(range(2, 100)) and made == list(range(100))


@pytest.mark.parametrize("error", [ValueError("damaged"), KeyboardInterrupt()])
def test_an_error_comes_where_it_arose(error: BaseException) -> None:
    def items() -> Iterator[int]:
        yield 0
        yield 1
        raise error

    seen = []
    with pytest.raises(type(error)) as raised:
        seen.extend(read_ahead(items(), beside="cuda"))
    assert seen == [0, 1] and raised.value is error and not readers()


def test_the_thread_ends_where_the_consumer_stops() -> None:
    closed_in: list[str] = []

    def items() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed_in.append(threading.current_thread().name)

    ahead = read_ahead(items(), beside="cuda")
    next(ahead)
    assert readers()
    ahead.close()
    assert closed_in == ["read-ahead"] and not readers()


def test_ctrl_c_ends_the_wait_for_an_item() -> None:
    def items() -> Iterator[int]:
        yield 0
        _thread.interrupt_main()
        yield 1

    with pytest.raises(KeyboardInterrupt):
        for _ in read_ahead(items(), beside="cuda"):
            threading.Event().wait(_WAIT_S)
    assert not readers()


def test_beside_the_cpu_there_is_no_thread() -> None:
    names = (threading.current_thread().name for _ in range(2))
    assert list(read_ahead(names, beside="cpu")) == [threading.current_thread().name] * 2


@pytest.mark.parametrize(
    ("device", "order"), [("cuda", "begin 0, begin 1, use 0, begin 2, use 1, use 2"),
                          ("cpu", "begin 0, use 0, begin 1, use 1, begin 2, use 2")],
)  # fmt: skip
def test_beside_a_device_an_item_is_used_once_the_next_is_begun(device: str, order: str) -> None:
    steps: list[str] = []

    def items() -> Iterator[int]:
        for number in range(3):
            steps.append(f"begin {number}")
            yield number

    for number in one_behind(items(), beside=device):
        steps.append(f"use {number}")
    assert ", ".join(steps) == order


@pytest.mark.parametrize("device", ["cuda", "cpu"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_error_comes_after_the_items_before_it(device: str, count: int) -> None:
    def items() -> Iterator[int]:
        yield from range(count)
        raise ValueError("damaged")

    late, seen = one_behind(items(), beside=device), []
    with pytest.raises(ValueError, match="damaged"):
        seen.extend(late)
    assert seen == list(range(count))


def test_nothing_gives_nothing() -> None:
    assert not list(one_behind([], beside="cuda")) and not list(read_ahead([], beside="cuda"))
