"""An untrained GAN with strong edges, and a studio that is served on it."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from helpers.tiny_models import tiny_gan, tiny_graph

from autolink_gen.inference.generate import Gan
from autolink_gen.studio.desks import Desks
from autolink_gen.studio.graphs import GraphDesk
from autolink_gen.studio.painting import PaintingDesk


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
def studio_address(gan: Gan) -> Iterator[str]:
    """The address of a studio on this machine."""
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'autolink-gen[studio]'")
    from autolink_gen.studio.server import serving

    name = "runs/gan/tiny"
    with serving(Desks(GraphDesk(gan.graph, name=name), PaintingDesk(gan, name=name))) as address:
        yield address.rstrip("/")
