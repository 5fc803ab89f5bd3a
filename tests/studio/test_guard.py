import asyncio
from typing import Any

import pytest

from autolink_gen.studio.guard import Guard

LOCAL = frozenset({"127.0.0.1", "localhost", "[::1]"})


def _status(
    *,
    host: str = "127.0.0.1:7860",
    path: str = "/",
    method: str = "GET",
    origin: str | None = None,
    body: tuple[bytes, ...] = (b"",),
    length: int | None = None,
    hosts: frozenset[str] | None = LOCAL,
) -> int:
    """The status of an answer: 200 where the request got through whole."""
    sent: list[Any] = []
    parts = list(body)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", host.encode())]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    scope = {"type": "http", "path": path, "method": method, "headers": headers}
    writable = frozenset({"/ask", "/wide"})
    guard = Guard(app, hosts=hosts, max_bytes=10, closed=("/file=",), writable=writable, wider={"/wide": 20})
    asyncio.run(guard(scope, receive, send))
    return int(sent[0]["status"])


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "LOCALHOST:1", "[::1]:7860"])
def test_this_machine_is_let_in(host: str) -> None:
    assert _status(host=host) == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:7860", "", "[::2]:7860"])
def test_another_name_for_this_machine_is_refused(host: str) -> None:
    assert _status(host=host) == 400


def test_any_name_is_let_in_where_none_is_set() -> None:
    assert _status(host="studio.example", hosts=None) == 200


def test_files_are_served_to_nobody() -> None:
    assert _status(path="/file=/etc/passwd") == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_is_taken_but_where_the_page_sends_it(method: str) -> None:
    assert _status(path="/ask", method=method) == 200
    assert _status(path="/other", method=method) == 403
    assert _status(path="/other") == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost.evil.example:7860", "http://127.0.0.1:3000", "null", ""]
)
def test_a_page_elsewhere_sends_and_reads_nothing(origin: str) -> None:
    for method in ("GET", "POST"):
        assert _status(path="/ask", method=method, origin=origin) == 403
        assert _status(path="/ask", method=method, origin=origin, hosts=None) == 200


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "LOCALHOST:7860", "[::1]:7860"])
def test_the_studio_s_own_page_may_send(host: str) -> None:
    assert _status(path="/ask", method="POST", host=host, origin=f"http://{host.lower()}") == 200


@pytest.mark.parametrize(("length", "status"), [(10, 200), (11, 413), (10**30, 413)])
def test_a_request_that_says_it_is_too_large_is_refused(length: int, status: int) -> None:
    assert _status(length=length) == status


def test_a_request_that_does_not_say_how_large_it_is_is_counted() -> None:
    assert _status(body=(b"x" * 5, b"x" * 5)) == 200
    assert _status(body=(b"x" * 5, b"x" * 6)) == 413


def test_a_path_may_have_a_limit_of_its_own() -> None:
    assert _status(path="/wide", body=(b"x" * 10, b"x" * 10)) == 200
    assert _status(path="/wide", body=(b"x" * 10, b"x" * 11)) == 413
    assert _status(path="/wide", length=21) == 413
