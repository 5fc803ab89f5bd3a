"""A server of this machine that answers as a test says, and keeps what it was asked."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from autolink_gen.common.web import Address, Limit, download

LIMIT = Limit(1000, "take less")


Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers with what the test says for the path; keeps the headers of each request."""

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        self.server.answers[self.path](self)

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    def handle_error(self, *_: object) -> None:
        """Nothing on the screen where whoever asked has gone."""

    def address(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server_port}{path}"


@contextmanager
def running_server() -> Iterator[Server]:
    """A server that runs, and ends with the block."""
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def answer(content: bytes = b"", *, status: int = 200, length: int | None = -1, **headers: str) -> Answer:
    """An answer with this content; `length` is what it says of it, None to say nothing."""

    def send(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if length is not None:
            handler.send_header("Content-Length", str(len(content) if length == -1 else length))
        handler.end_headers()
        handler.wfile.write(content)

    return send


def fetched(address: Address, limit: Limit = LIMIT) -> bytes:
    file = io.BytesIO()
    download(address, file, limit=limit)
    return file.getvalue()
