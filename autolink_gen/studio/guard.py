"""The studio's door: who may ask, and how much may be sent."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
_READING = ("GET", "HEAD", "OPTIONS")
_NO_FRAMES = (b"content-security-policy", b"frame-ancestors 'self'")


class TooLargeError(Exception):
    """A request that goes on beyond the limit."""


class Guard:
    """An ASGI middleware that refuses requests for other hosts, of other pages, for files, and with too large a body.

    ``hosts`` are the names under which the studio is asked for, without the port; None: any. A page elsewhere can make
    a browser ask 127.0.0.1 under a name of its own, and would read the answers; under the studio's name it could send
    what it likes, and a page of another port of this machine could read. No page shows the studio in a frame.
    ``max_bytes`` is for a whole request, and ``wider`` are paths that may have more. ``closed`` are the beginnings of
    paths that nobody gets, and ``writable`` the only paths that take anything.
    """

    def __init__(
        self,
        app: App,
        *,
        hosts: frozenset[str] | None,
        max_bytes: int,
        closed: tuple[str, ...],
        writable: frozenset[str],
        wider: Mapping[str, int] | None = None,
    ) -> None:
        self.app, self.hosts, self.max_bytes, self.wider = app, hosts, max_bytes, wider or {}
        self.closed, self.writable = closed, writable

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer 400, 403 or 413 by itself, or let the request through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        most = self.wider.get(scope["path"], self.max_bytes)
        if refusal := self._refusal(scope, headers):
            await _refuse(send, *refusal)
        elif _length(headers) > most:
            await _refuse(send, 413, f"more than {most} bytes")
        else:
            await self._let_through(scope, receive, send, most=most)

    def _refusal(self, scope: Message, headers: Mapping[bytes, bytes]) -> tuple[int, str] | None:
        """The status and the reason for a request that is none of the studio's, whatever its size."""
        if self.hosts is not None and _host(headers.get(b"host", b"")) not in self.hosts:
            return 400, "the studio is not served under this name"
        origin = headers.get(b"origin")  # browsers name the page that asks, with its port, where it is another
        if self.hosts is not None and origin is not None and origin.partition(b"://")[2] != headers[b"host"].lower():
            return 403, "this page is not the studio's"
        if scope["path"].startswith(self.closed):
            return 403, "the studio serves no files"
        if scope["method"] in _READING:
            return None
        if scope["path"] not in self.writable:
            return 403, "the studio takes nothing here"
        return None

    async def _let_through(self, scope: Message, receive: Receive, send: Send, *, most: int) -> None:
        num_bytes, has_begun = 0, False

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > most:
                raise TooLargeError
            return message

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), _NO_FRAMES]
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except TooLargeError:
            if not has_begun:
                await _refuse(send, 413, f"more than {most} bytes")


def _host(header: bytes) -> str:
    """The name in a Host header, without the port."""
    host = header.decode("latin-1").lower()
    return host[: host.rfind("]") + 1] if host.startswith("[") else host.partition(":")[0]


def _length(headers: dict[bytes, bytes]) -> int:
    text = headers.get(b"content-length", b"0")
    return int(text[:20]) if text.isdigit() else 0  # more digits are too many anyway


async def _refuse(send: Send, status: int, reason: str) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": reason.encode()})
