"""Serves the studio's page, to this machine alone unless told otherwise."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from autolink_gen.common.extras import needs
from autolink_gen.common.files import reason_of
from autolink_gen.studio.desks import Desks
from autolink_gen.studio.guard import Guard
from autolink_gen.studio.uploads import MAX_UPLOAD_BYTES, MAX_VIDEO_BYTES
from autolink_gen.studio.workshop import open_workshop

if TYPE_CHECKING:
    from gradio import Blocks
    from starlette.middleware import Middleware

LOOPBACK = "127.0.0.1"
_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_MAX_REQUEST_BYTES = 4 * MAX_UPLOAD_BYTES // 3 + 2**16  # base64
_FILE_PATHS = ("file=", "file/", "upload", "stream", "proxy=", "custom_component", "deep_link", "dev")
_CLOSED = tuple(f"{prefix}/{path}" for prefix in ("", "/gradio_api") for path in _FILE_PATHS)
_QUESTIONS = ("/gradio_api/component_server", "/gradio_api/component_server/")
_MAX_THREADS = 8  # questions that are answered at once: each may decode a picture
# The margins of gradio's page take a quarter of a telephone's width.
_NARROW = """<style>@media (max-width: 760px) {
  .gradio-container .main.fillable { padding: 8px; }
  .gradio-container .html-container { padding: 4px; }
}</style>"""


@contextmanager
def serving(
    desks: Desks,
    *,
    host: str = LOOPBACK,
    port: int | None = None,
    share: bool = False,
    browser: bool = False,
) -> Iterator[str]:
    """Serve the studio while the block runs; gives its address.

    ``host`` other than the loopback lets others in the network ask; ``share`` asks gradio's service for a public
    address. ``port``: a free one from 7860 on unless given. ``browser``: open it there. Videos that the page uploads,
    and those that are made of them, lie in a folder that is removed at the end; no other file of this machine is
    served. Raises ValueError where the port is taken.
    """
    with needs("studio", "the studio"):
        import gradio as gr
        from starlette.middleware import Middleware
    from autolink_gen.studio.files import FileDoor
    from autolink_gen.studio.pages import build_page

    if port is not None:
        _check_port(host, port)
    with ExitStack() as ending:
        workshop = ending.enter_context(open_workshop())
        page = build_page(desks, workshop)
        ending.callback(page.close, verbose=False)
        hosts = _LOCAL_NAMES if host in _LOCAL_NAMES and not share else None
        middleware = [_guard(hosts), Middleware(FileDoor, uploads=workshop.uploads, results=workshop.results)]
        theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
        where = {"server_name": host, "server_port": port, "share": share, "inbrowser": browser}
        _, local, public = _launch(page, middleware, theme=theme, **where)
        yield public or local


def _guard(hosts: frozenset[str] | None) -> "Middleware":
    """The guard of a studio under these names."""
    from starlette.middleware import Middleware

    from autolink_gen.studio.files import UPLOAD_PATH

    return Middleware(
        Guard,
        hosts=hosts,
        max_bytes=_MAX_REQUEST_BYTES,
        closed=_CLOSED,
        writable=frozenset({*_QUESTIONS, UPLOAD_PATH}),
        wider={UPLOAD_PATH: MAX_VIDEO_BYTES},
    )


def _launch(page: "Blocks", middleware: "list[Middleware]", **options: Any) -> tuple[Any, str, str | None]:
    """Serve the page, and nothing of gradio's that it does not need; the app, the local and the public address."""
    launched: tuple[Any, str, str | None] = page.queue(default_concurrency_limit=1, max_size=32).launch(
        **options,
        prevent_thread_lock=True,
        quiet=True,
        head=_NARROW,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        max_threads=_MAX_THREADS,
        max_file_size=MAX_UPLOAD_BYTES,
        allowed_paths=[],
        app_kwargs={"middleware": middleware},
        # Else gradio gives its own page three seconds, through a proxy if the user has one, and asks for --share.
        _frontend=False,
    )
    return launched


def _check_port(host: str, port: int) -> None:
    """ValueError where nothing can be served there."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise ValueError(
            f"--host {host} --port {port} cannot be listened on ({reason_of(error)}); choose another port, or leave "
            f"--port out"
        ) from None
