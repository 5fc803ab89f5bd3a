"""One number for a graph, in the unit of the paper's tables."""

import numpy as np
import pytest
from helpers.tiny_models import tiny_graph

from autolink_gen.data.source import open_source
from autolink_gen.evaluation import score
from autolink_gen.evaluation.landmarks import PROTOCOLS, Annotations
from autolink_gen.evaluation.score import published_score


def parts(count: int, *, noise: float) -> tuple[Annotations, Annotations]:
    """Landmarks in [0, 1] that follow from four keypoints, but for some noise."""
    generator = np.random.default_rng(0)
    mix = generator.random((count, 4)) / 4
    found = []
    for _ in range(2):
        detected = generator.random((60, 4, 2)) * 2 - 1
        true = np.einsum("pk,nkc->npc", mix, (detected + 1) / 2) + noise * generator.standard_normal((60, count, 2))
        found.append(Annotations(detected, true))
    return found[0], found[1]


@pytest.mark.parametrize(
    ("data", "count", "perfect", "scale"),
    [
        ("celeba-wild", 5, 0.0, 100),
        ("celeba-aligned", 5, 0.0, 100),
        ("faces68", 68, 0.0, 100),
        ("cub-001", 15, 0.0, 100),
        ("human36m", 32, 0.0, 100),
        ("deepfashion", 16, 100.0, -100),
        ("taichi", 18, 0.0, 1),
    ],
)
def test_the_number_is_that_of_the_papers_table(data, count, perfect, scale, monkeypatch) -> None:
    graph = tiny_graph(4)
    monkeypatch.setattr(score, "_annotate_splits", lambda *given: parts(count, noise=0.0))
    assert published_score(graph, open_source(data))[1] == pytest.approx(perfect, abs=1e-6)
    fit, test = parts(count, noise=0.05)
    monkeypatch.setattr(score, "_annotate_splits", lambda *given: (fit, test))
    protocol = {"celeba-wild": "celeba_wild", "celeba-aligned": "celeba_aligned", "cub-001": "cub",
                "human36m": "h36m"}.get(data, data)  # fmt: skip
    unit = 255 if protocol in ("deepfashion", "taichi") else 1
    inside = [Annotations(part.detected, part.true * unit) for part in (fit, test)]
    name, value = published_score(graph, open_source(data))
    assert value == pytest.approx(scale * PROTOCOLS[protocol](*inside))
    assert value != pytest.approx(perfect, abs=0.1) and name
