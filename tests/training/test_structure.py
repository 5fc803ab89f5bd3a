"""Pictures moved with their keypoints, and the structure term that looks at them."""

import pytest
import torch
from helpers.tiny_models import tiny_graph

from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.training.augment import RandomMove
from autolink_gen.training.gan import move_some
from autolink_gen.training.posed_images import PosedImages
from autolink_gen.training.structure import StructureTerm

SIZE = 64


def blobs(keypoints: torch.Tensor) -> torch.Tensor:
    """Pictures (B, 3, 64, 64) with a soft white spot on the only keypoint (B, 1, 2)."""
    axis = torch.linspace(-1, 1, SIZE)
    distance = (axis - keypoints[:, :, :1]) ** 2 + ((axis - keypoints[:, :, 1:]) ** 2).transpose(1, 2)
    return torch.exp(-distance / 0.01)[:, None].expand(-1, 3, -1, -1).contiguous()


def centres(pictures: torch.Tensor) -> torch.Tensor:
    axis = torch.linspace(-1, 1, SIZE)
    share = pictures[:, 0] / pictures[:, 0].sum((1, 2), keepdim=True)
    return torch.stack([(share.sum(1) * axis).sum(1), (share.sum(2) * axis).sum(1)], dim=1)[:, None]


def test_keypoints_go_where_the_picture_goes():
    keypoints = torch.rand(16, 1, 2, generator=torch.Generator().manual_seed(0)) * 0.8 - 0.4
    pictures = blobs(keypoints)
    moved = RandomMove()(pictures, seed=3)
    places = moved.follow(keypoints)
    assert torch.allclose(centres(moved.images), places, atol=2e-3)
    distances = (places - keypoints).norm(dim=-1)
    assert 0.03 < distances.mean() < 0.3
    assert distances.max() < 0.5


def test_a_move_is_a_function_of_its_seed_and_leaves_the_global_generator_alone():
    keypoints = torch.zeros(4, 1, 2)
    pictures, move = blobs(keypoints), RandomMove()
    before = torch.get_rng_state()
    first, again, other = (move(pictures, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.images, again.images) and torch.equal(first.matrix, again.matrix)
    assert not torch.equal(first.matrix, other.matrix)
    assert torch.equal(first.follow(keypoints), again.follow(keypoints)), "what was moved since does not matter"


def test_a_share_of_the_pictures_is_moved():
    pictures, move = blobs(torch.zeros(40, 1, 2)), RandomMove()

    def moved(share: float) -> torch.Tensor:
        draw = torch.Generator().manual_seed(1)
        after = move_some(pictures, move, share=share, generator=draw)
        return (after != pictures).flatten(1).any(1)

    assert not moved(0.0).any() and moved(1.0).all()
    assert 5 < moved(0.3).sum() < 20


@pytest.fixture
def graph(monkeypatch) -> AutoLink:
    """A detector that finds the one white spot, for both of its keypoints."""
    monkeypatch.setattr(AutoLink, "locate", lambda self, pictures: centres(pictures).expand(-1, 2, -1))
    return tiny_graph(2, image_size=SIZE)


def drawn(images: torch.Tensor, keypoints: torch.Tensor) -> PosedImages:
    return PosedImages(images, keypoints, torch.zeros(len(images), 1, SIZE, SIZE))


ASKED = torch.tensor([[[0.2, -0.3], [0.2, -0.3]], [[-0.4, 0.1], [-0.4, 0.1]]])
OFF = torch.tensor([0.1, 0.0])


def test_what_shows_its_keypoints_loses_nothing(graph):
    term, clear, off = StructureTerm(graph), blobs(ASKED[:, :1]), blobs(ASKED[:, :1] + OFF)
    assert float(term(fake=drawn(clear, ASKED), real=drawn(clear, ASKED), seed=1).loss) < 5e-3
    found = term(fake=drawn(off, ASKED), real=drawn(clear, ASKED), seed=1)
    assert float(found.loss) == pytest.approx(0.1, rel=0.12), "a move scales by a tenth at most"
    assert float(found.painted - found.real) == pytest.approx(float(found.loss))


def test_what_is_as_clear_as_real_pictures_loses_nothing(graph):
    off = blobs(ASKED[:, :1] + OFF)
    found = StructureTerm(graph)(fake=drawn(off, ASKED), real=drawn(off, ASKED), seed=1)
    assert float(found.loss) == 0 and float(found.painted) == float(found.real) > 0.08
    assert found.metrics == {"structure": found.painted, "real_structure": found.real}


def test_keypoints_that_were_left_out_of_the_graph_do_not_count(monkeypatch):
    monkeypatch.setattr(AutoLink, "locate", lambda self, pictures: centres(pictures).expand(-1, 3, -1))
    whole = tiny_graph(image_size=SIZE)
    asked = torch.cat([ASKED, -ASKED[:, :1]], dim=1)
    clear = blobs(ASKED[:, :1])
    fake, real = drawn(clear, asked), drawn(clear, torch.cat([ASKED, ASKED[:, :1]], dim=1))
    missed = StructureTerm(whole)(fake=fake, real=real, seed=1)
    found = StructureTerm(whole.without_keypoints([2]))(fake=fake, real=fake, seed=1)
    assert float(missed.loss) > 0.1 and float(found.loss) < 5e-3
    assert float(found.painted) < 5e-3 and float(found.real) < 5e-3


def test_its_gradient_moves_the_picture(graph):
    asked = torch.tensor([[[0.2, 0.0], [0.2, 0.0]]])
    start = torch.zeros(1, 1, 2, requires_grad=True)
    real = torch.tensor([[[0.5, 0.5], [0.5, 0.5]]])
    fake = drawn(blobs(start), asked)
    StructureTerm(graph)(fake=fake, real=drawn(blobs(real[:, :1]), real), seed=2).loss.backward()
    assert start.grad[0, 0, 0] < -0.5 and abs(start.grad[0, 0, 1]) < 0.4


@pytest.mark.parametrize("native", [True, False])
def test_a_detector_on_features_is_asked_in_half_precision_where_that_is_native(monkeypatch, native):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: native, raising=False)
    torch.manual_seed(0)
    settings = {"num_keypoints": 4, "image_size": 64, "width": 0.05}
    graph = AutoLink(AutoLinkConfig(**settings, detector="features", features="random", features_size=64)).eval()
    seen: list[torch.dtype] = []
    graph.detector.features.features[0].register_forward_hook(lambda *all_of_it: seen.append(all_of_it[2].dtype))
    pictures = torch.rand(2, 3, 64, 64)
    painted = torch.rand(2, 3, 64, 64).requires_grad_()
    real = drawn(pictures, graph.locate(pictures))
    losses = StructureTerm(graph)(fake=real._replace(images=painted), real=real, seed=0)
    assert set(seen[2:]) == {torch.bfloat16 if native else torch.float32}
    losses.painted.backward()
    assert losses.painted.dtype == torch.float32 and painted.grad.abs().max() > 0


def test_the_detector_of_the_paper_is_asked_in_single_precision():
    graph = tiny_graph(4).eval()
    seen: list[torch.dtype] = []
    graph.detector.head.register_forward_hook(lambda *all_of_it: seen.append(all_of_it[2].dtype))
    pictures = torch.rand(2, 3, 64, 64)
    real = drawn(pictures, graph.locate(pictures))
    StructureTerm(graph)(fake=real, real=real, seed=0)
    assert set(seen) == {torch.float32}
