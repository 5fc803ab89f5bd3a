"""Fetching over http from a server that is busy, silent, or refuses for good: when it is asked again."""

import email.utils
import threading
import time
from collections.abc import Iterator

import pytest
from helpers.http_server import Answer, Handler, Server, answer, fetched, running_server

from autolink_gen.common import web
from autolink_gen.common.web import FetchError, address_of


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many seconds were waited each time, in which nothing was done."""
    waited: list[float] = []
    monkeypatch.setattr(web.time, "sleep", waited.append)
    return waited


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with running_server() as running:
        yield running


def after(first: list[Answer], then: Answer) -> Answer:
    """Answers `first`, one a request, and `then` from then on."""
    left = list(first)

    def send(handler: Handler) -> None:
        (left.pop(0) if left else then)(handler)

    return send


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again_after_growing_pauses(
    status: int, server: Server, pauses: list[float]
) -> None:
    server.answers = {"/a": after([answer(status=status)] * 3, answer(b"here"))}
    assert fetched(address_of(server.address("/a"))) == b"here"
    assert pauses == [1, 2, 4]


@pytest.mark.parametrize(
    ("asked", "waited"), [("7", 7), ("0", 1), ("100000", 60), ("9" * 500, 60), ("soon", 1), ("-5", 1), ("²", 1)]
)
def test_a_server_says_how_long_to_wait_within_bounds(
    asked: str, waited: float, server: Server, pauses: list[float]
) -> None:
    server.answers = {"/a": after([answer(status=429, Retry_After=asked)], answer(b"here"))}
    assert fetched(address_of(server.address("/a"))) == b"here"
    assert pauses == [waited]


def test_a_server_may_name_the_hour(server: Server, pauses: list[float]) -> None:
    then = email.utils.formatdate(time.time() + 30, usegmt=True)
    server.answers = {"/a": after([answer(status=503, Retry_After=then)], answer(b"here"))}
    assert fetched(address_of(server.address("/a"))) == b"here"
    assert 1 < pauses[0] <= 30


@pytest.mark.parametrize(("status", "remedy"), [(404, "check"), (410, "check"), (403, "renew"), (401, "yourself")])
def test_what_is_refused_for_good_is_asked_for_once(
    status: int, remedy: str, server: Server, pauses: list[float]
) -> None:
    server.answers = {"/a?sig=secret": answer(status=status)}
    with pytest.raises(FetchError, match=f"the server answers {status} .*{remedy}") as failure:
        fetched(address_of(server.address("/a?sig=secret")))
    assert len(server.asked) == 1 and not pauses
    assert "secret" not in str(failure.value) and server.address("/a?") in str(failure.value)


def test_a_server_that_stays_busy_is_named_with_its_answer(
    server: Server, pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = {"/a": answer(status=503)}
    with pytest.raises(FetchError, match="the server answers 503"):
        fetched(address_of(server.address("/a")))
    assert len(server.asked) == web.TRIES == len(pauses) + 1
    waits = [line.rpartition("asked again in ")[2] for line in caplog.messages]
    assert waits == ["2 s", "4 s", "8 s"], "a person sees what is waited for"


def test_a_server_that_says_nothing_is_asked_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(web, "TIMEOUT_S", 0.1)
    server.answers = {"/a": after([lambda handler: over.wait(10)], answer(b"here"))}
    try:
        assert fetched(address_of(server.address("/a"))) == b"here"
    finally:
        over.set()


def test_a_part_that_is_there_no_more_is_not_asked_for_again(server: Server) -> None:
    def send(handler: Handler) -> None:
        if "Range" in handler.headers:
            answer(status=416)(handler)
        else:
            answer(b"01234", length=10 if len(server.asked) == 1 else 5, ETag='"1"')(handler)

    server.answers = {"/a": send}
    assert fetched(address_of(server.address("/a"))) == b"01234"
    assert ["Range" in headers for _, headers in server.asked] == [False, True, False]


def test_the_query_of_an_address_is_not_shown() -> None:
    assert address_of("https://a.b/c?sig=secret").label == "https://a.b/c?..."
    assert address_of("https://a.b/c").label == "https://a.b/c"
