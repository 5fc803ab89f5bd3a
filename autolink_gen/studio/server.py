"""Opens the studio: the models of a run, the page, and a server for this machine unless told otherwise."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from autolink_gen.checkpoints import load_graph_model
from autolink_gen.common.devices import chosen_device, float64_array
from autolink_gen.common.extras import needs
from autolink_gen.common.files import reason_of
from autolink_gen.inference.generate import load_gan
from autolink_gen.runs import RunFolder
from autolink_gen.studio.graphs import GraphDesk
from autolink_gen.studio.guard import Guard
from autolink_gen.studio.jobs import Jobs
from autolink_gen.studio.painting import PaintingDesk
from autolink_gen.studio.uploads import MAX_UPLOAD_BYTES

LOOPBACK = "127.0.0.1"
_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_MAX_REQUEST_BYTES = 4 * MAX_UPLOAD_BYTES // 3 + 2**16  # base64
_FILE_PATHS = ("file=", "file/", "upload", "stream", "proxy=", "custom_component", "deep_link", "dev")
_CLOSED = tuple(f"{prefix}/{path}" for prefix in ("", "/gradio_api") for path in _FILE_PATHS)


def open_desks(
    run: str | os.PathLike[str] | None, *, device: str | None = None
) -> tuple[GraphDesk, PaintingDesk | None]:
    """The desks of a run: of a GAN both, of a graph the first alone; of two runs of one name, those of the GAN.

    None: the newest GAN, else the newest graph, else the run "puppets". Raises ValueError if there is no such run.
    """
    folder = _newest() if run is None else _named(run)
    place = chosen_device(device)
    if folder.kind == "gan":
        gan = load_gan(folder, device=place)
        pose = float64_array(gan.poses).mean(axis=0) if len(gan.poses) else None
        return GraphDesk(gan.graph, name=str(folder.path), pose=pose), PaintingDesk(gan, name=str(folder.path))
    graph = load_graph_model(RunFolder.find(folder.folder if folder.kind == "transfer" else folder, kind="graph"))
    return GraphDesk(graph.to(place), name=str(folder.path)), None


@contextmanager
def serving(
    graph: GraphDesk,
    painter: PaintingDesk | None,
    *,
    host: str = LOOPBACK,
    port: int | None = None,
    share: bool = False,
    browser: bool = False,
) -> Iterator[str]:
    """Serve the studio while the block runs; gives its address.

    ``host`` other than the loopback lets others in the network ask; ``share`` asks gradio's service for a public
    address. ``port``: a free one from 7860 on unless given. ``browser``: open it there. The page's uploads are kept
    nowhere, and no file of this machine is served. Raises ValueError where the port is taken.
    """
    with needs("studio", "the studio"):
        import gradio as gr
        from starlette.middleware import Middleware
    from autolink_gen.studio.pages import build_page

    hosts = _LOCAL_NAMES if host in _LOCAL_NAMES and not share else None
    guard = Middleware(Guard, hosts=hosts, max_bytes=_MAX_REQUEST_BYTES, closed=_CLOSED)
    if port is not None:
        _check_port(host, port)
    with Jobs() as jobs:
        page = build_page(graph, painter, jobs=jobs)
        try:
            _, local, public = page.queue(default_concurrency_limit=1, max_size=32).launch(
                server_name=host,
                server_port=port,
                share=share,
                inbrowser=browser,
                prevent_thread_lock=True,
                quiet=True,
                theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                max_file_size=MAX_UPLOAD_BYTES,
                allowed_paths=[],
                app_kwargs={"middleware": [guard]},
            )
            yield public or local
        finally:
            page.close(verbose=False)


def _check_port(host: str, port: int) -> None:
    """ValueError where nothing can be served there."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise ValueError(
            f"--host {host} --port {port} cannot be listened on ({reason_of(error)}); choose another port, or leave "
            f"--port out"
        ) from None


def _named(run: str | os.PathLike[str]) -> RunFolder:
    with suppress(ValueError):
        return RunFolder.find(run, kind="gan")
    return RunFolder.find(run)


def _newest() -> RunFolder:
    finished = RunFolder.finished("gan") or RunFolder.finished("graph")
    return finished[0] if finished else _named("puppets")
