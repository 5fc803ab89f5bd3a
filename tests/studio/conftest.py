"""An untrained GAN with strong edges, and a studio that is served on it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.studio_browser import open_browser
from helpers.studio_tabs import OpenTab, wait_painted
from helpers.tiny_models import tiny_gan, tiny_graph, tiny_transfer
from helpers.video_clips import make_frames
from studio_page import PATIENCE_MS

from autolink_gen.data.video.writer import VideoWriter
from autolink_gen.inference.generate import Gan
from autolink_gen.inference.transfer import Transfer
from autolink_gen.studio.desks import Desks
from autolink_gen.studio.graphs import GraphDesk
from autolink_gen.studio.painting import PaintingDesk
from autolink_gen.studio.transferring import TransferDesk


def make_gan() -> Gan:
    """Five keypoints; edges 0-1, 0-2 and 1-2 are strong, 3-4 too, and the rest faint."""
    graph = tiny_graph(5, sigma2=1e-2)
    raw = torch.full((5, 5), -9.0)
    for i, j, value in ((0, 1, 3.0), (0, 2, 2.0), (1, 2, 1.0), (3, 4, 2.5)):
        raw[i, j] = value
    with torch.no_grad():
        graph.raw_edge_weights.copy_(raw / graph.config.edge_weight_rate)
    poses = torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.6
    return tiny_gan(graph, poses=poses).eval()


@pytest.fixture(scope="session")
def gan() -> Gan:
    return make_gan()


def make_transfer() -> Transfer:
    """A network that takes the poses in `make_frames` for sure ones."""
    graph = make_gan().graph
    frames = np.stack(make_frames(20, height=64, width=64)[::4])
    with torch.no_grad():
        found = graph.detect(torch.from_numpy(frames).permute(0, 3, 1, 2) / 255)
    return tiny_transfer(graph, poses=found).prepare_for_inference()


@pytest.fixture(scope="session")
def transfer() -> Transfer:
    return make_transfer()


@pytest.fixture
def desk(gan: Gan) -> PaintingDesk:
    return PaintingDesk(gan, name="runs/gan/tiny")


@pytest.fixture
def graph_desk(gan: Gan) -> GraphDesk:
    return GraphDesk(gan.graph, name="runs/gan/tiny")


@pytest.fixture
def picture() -> np.ndarray:
    """Noise, 48 by 64 pixels."""
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)


@pytest.fixture(scope="session")
def studio_address(gan: Gan, transfer: Transfer) -> Iterator[str]:
    """The address of a studio on this machine."""
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'autolink-gen[studio]'")
    from autolink_gen.studio.server import serving

    name = "runs/gan/tiny"
    mover = TransferDesk(transfer, name="runs/transfer/tiny")
    with serving(Desks(GraphDesk(gan.graph, name=name), PaintingDesk(gan, name=name), mover)) as address:
        yield address.rstrip("/")


@pytest.fixture
def film(tmp_path: Path, picture: np.ndarray) -> Path:
    """Twelve frames of the picture, which moves to the right; ten a second."""
    file = tmp_path / "film.mp4"
    with VideoWriter(file, fps=10) as writer:
        for step in range(12):
            writer.write(np.roll(picture, 4 * step, axis=1))
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def open_tab(studio_address: str, browser: Any) -> Iterator[OpenTab]:
    """Opens a page at a tab; at the end no page told of an error in its script, or asked another host."""
    problems: list[str] = []
    contexts = []

    def opened(name: str) -> Any:
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 900}))
        contexts[-1].set_default_timeout(PATIENCE_MS)  # of all its pages
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: note(request.url))
        page.goto(studio_address)
        page.wait_for_selector("#graph-tab .dot")
        if name == "Paint":
            page.get_by_role("tab", name="Paint").click()
            wait_painted(page, 1)
        return page

    def note(url: str) -> None:
        if not url.startswith((studio_address, "data:", "blob:")):
            problems.append(f"asked {url}")

    yield opened
    for context in contexts:
        context.close()
    assert problems == []
