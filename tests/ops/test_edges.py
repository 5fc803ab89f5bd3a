"""The edge map against its definition, the reference numbers, and numbers worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.messages import raises_mentioning

from autolink_gen.ops.edges import (
    edge_channels,
    edge_list,
    edge_map,
    edge_map_dense,
    point_map,
    squared_segment_distance,
)


def random_graph(batch: int, count: int, *, seed: int = 0, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(seed)
    keypoints = torch.rand(batch, count, 2, generator=generator, dtype=dtype) * 2 - 1
    return keypoints, F.softplus(torch.randn(count, count, generator=generator, dtype=dtype))


def gradients(function, keypoints, weights, sigma2, size):
    leaves = [x.clone().requires_grad_() for x in (keypoints, weights, torch.as_tensor(sigma2, dtype=keypoints.dtype))]
    drawn = function(leaves[0], leaves[1], sigma2=leaves[2], size=size)
    upstream = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(1), dtype=drawn.dtype)
    return drawn, torch.autograd.grad((drawn * upstream).sum(), leaves)


def test_one_edge_by_hand():
    keypoints = torch.tensor([[[-0.5, 0.0], [0.5, 0.0]]], dtype=torch.float64)
    weights = torch.full((2, 2), 2.0, dtype=torch.float64)
    drawn = edge_map(keypoints, weights, sigma2=0.5, size=5)[0, 0]  # pixels at -1, -0.5, 0, 0.5, 1
    assert drawn[2, 2].item() == pytest.approx(2.0)  # on the segment
    assert drawn[0, 2].item() == pytest.approx(2 * math.exp(-1 / 0.5))  # y = -1: one above its middle
    assert drawn[2, 4].item() == pytest.approx(2 * math.exp(-0.25 / 0.5))  # half beyond its end
    assert drawn[4, 0].item() == pytest.approx(2 * math.exp(-1.25 / 0.5))  # beyond its end and below


def test_the_third_case_of_equation_3():
    point, start, end = (torch.tensor(p) for p in ([3.0, 4.0], [-1.0, 0.0], [0.0, 0.0]))
    assert squared_segment_distance(point, start, end).item() == pytest.approx(25.0)


@pytest.mark.parametrize("count", [2, 3, 8, 17])
@pytest.mark.parametrize("size", [7, 16, 33])
@pytest.mark.parametrize("sigma2", [5e-5, 5e-3, 0.1])
def test_fast_twin_equals_the_definition(count, size, sigma2):
    keypoints, weights = random_graph(3, count)
    fast, fast_gradients = gradients(edge_map, keypoints, weights, sigma2, size)
    dense, dense_gradients = gradients(edge_map_dense, keypoints, weights, sigma2, size)
    torch.testing.assert_close(fast, dense, rtol=1e-10, atol=1e-300)
    for ours, theirs in zip(fast_gradients, dense_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_single_precision_equals_double():
    keypoints, weights = random_graph(2, 10)
    fast = edge_map(keypoints.float(), weights.float(), sigma2=1e-3, size=64)
    dense = edge_map_dense(keypoints, weights, sigma2=1e-3, size=64)
    assert fast.dtype == torch.float32
    torch.testing.assert_close(fast.double(), dense, rtol=0, atol=1e-4)


def test_many_edges_are_searched_in_several_pieces(monkeypatch):
    monkeypatch.setattr("autolink_gen.ops.edge_search._MAX_BOUNDS", 1000)  # 2 x 66 edges: 7 tiles a piece
    keypoints, weights = random_graph(2, 12)
    fast = edge_map(keypoints, weights, sigma2=1e-3, size=48)
    torch.testing.assert_close(fast, edge_map_dense(keypoints, weights, sigma2=1e-3, size=48), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("name", ["edge_map_k5", "edge_map_k10"])
@pytest.mark.parametrize("function", [edge_map, edge_map_dense])
def test_parity_with_the_official_implementation(shared_dir: Path, name, function):
    stored = np.load(shared_dir / "reference" / f"{name}.npz")
    keypoints = torch.tensor(stored["keypoints_row_col"]).flip(-1).requires_grad_()
    raw = torch.tensor(stored["raw_edge_weights"]).requires_grad_()
    drawn = function(keypoints, F.softplus(raw), sigma2=float(stored["sigma2"]), size=int(stored["size"]))
    torch.testing.assert_close(drawn, torch.tensor(stored["edge_map"]), rtol=0, atol=1e-10)
    drawn.backward(torch.tensor(stored["upstream"]))
    for ours, theirs in ((keypoints.grad.flip(-1), "grad_keypoints"), (raw.grad, "grad_raw_edge_weights")):
        reference = torch.tensor(stored[theirs])
        assert (ours - reference).abs().max() <= 1e-8 * reference.abs().max()


def test_gradcheck():
    keypoints, weights = random_graph(2, 4, seed=3)
    sigma2 = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
    inputs = (keypoints.requires_grad_(), weights.requires_grad_(), sigma2)
    assert torch.autograd.gradcheck(lambda k, w, s: edge_map(k, w, sigma2=s, size=9), inputs)


@pytest.mark.parametrize(
    "points",
    [
        [[0.3, 0.2], [0.3, 0.2], [0.3, 0.2]],  # all edges have zero length
        [[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0]],  # corners
        [[0.0, 0.0], [0.0, 0.0], [0.5, 0.5]],  # two coincide on a pixel
        [[5.0, 5.0], [6.0, 5.0], [0.0, 9.0]],  # far outside
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_degenerate_edges_stay_finite(points, dtype):
    keypoints = torch.tensor([points], dtype=dtype)
    drawn, grads = gradients(edge_map, keypoints, torch.ones(3, 3, dtype=dtype), 5e-5, 17)
    assert torch.isfinite(drawn).all()
    assert all(torch.isfinite(g).all() for g in grads)


def test_zero_weight_is_finite_and_invisible():
    keypoints, weights = random_graph(1, 3)
    weights = torch.zeros_like(weights)
    drawn, grads = gradients(edge_map, keypoints, weights, 1e-3, 16)
    assert drawn.max() < 1e-300
    assert all(torch.isfinite(g).all() for g in grads)


def test_only_the_upper_triangle_is_read():
    keypoints, weights = random_graph(1, 5)
    other = weights.triu(1) + 100 * weights.tril()
    assert torch.equal(
        edge_map(keypoints, weights, sigma2=1e-2, size=16), edge_map(keypoints, other, sigma2=1e-2, size=16)
    )


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_the_edges():
    def saved_elements(count: int) -> int:
        keypoints, weights = random_graph(2, count)
        drawn = edge_map(keypoints.requires_grad_(), weights, sigma2=1e-3, size=32)
        return sum(tensor.numel() for tensor in drawn.grad_fn.saved_tensors)

    pixels = 2 * 32 * 32
    assert saved_elements(24) - saved_elements(4) == 2 * 2 * 20  # the keypoints themselves
    assert saved_elements(24) <= 2 * pixels + 200


def test_autocast_does_not_touch_it():
    keypoints, weights = random_graph(1, 6, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = edge_map(keypoints, weights, sigma2=1e-3, size=32)
    assert torch.equal(cast, edge_map(keypoints, weights, sigma2=1e-3, size=32))


@pytest.mark.parametrize("function", [edge_map, edge_map_dense])
def test_bad_input(function):
    keypoints, weights = random_graph(1, 4)
    with pytest.raises(ValueError, match="num_keypoints must be at least 2, got 1"):
        function(keypoints[:, :1], weights[:1, :1], sigma2=1e-3, size=8)
    with pytest.raises((ValueError, TypeError)):  # the tests' own type checks speak first
        function(keypoints, weights[:3, :3], sigma2=1e-3, size=8)
    with pytest.raises(ValueError, match="sigma2 must be positive, got 0"):
        function(keypoints, weights, sigma2=0.0, size=8)
    with raises_mentioning(ValueError, "size", "2"):
        function(keypoints, weights, sigma2=1e-3, size=1)


def test_edge_list_is_row_by_row():
    assert edge_list(3).tolist() == [[0, 0, 1], [1, 2, 2]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_equals_cpu():
    keypoints, weights = random_graph(2, 12, dtype=torch.float32)
    on_cpu = edge_map(keypoints, weights, sigma2=1e-3, size=64)
    on_cuda = edge_map(keypoints.cuda(), weights.cuda(), sigma2=1e-3, size=64)
    torch.testing.assert_close(on_cuda.cpu(), on_cpu, rtol=1e-4, atol=1e-5)


def test_channels_are_the_edges_one_by_one():
    keypoints, weights = random_graph(2, 4)
    channels = edge_channels(keypoints, weights, sigma2=1e-2, size=16)
    assert channels.shape == (2, 6, 16, 16)
    for number, (i, j) in enumerate(edge_list(4).T.tolist()):
        alone = edge_map(keypoints[:, [i, j]], weights[[i, j]][:, [i, j]], sigma2=1e-2, size=16)
        torch.testing.assert_close(channels[:, number : number + 1], alone, rtol=1e-10, atol=1e-300)


def test_each_channel_may_have_its_thickness():
    keypoints, weights = random_graph(2, 3)
    thickness = torch.tensor([1e-3, 1e-2, 1e-1], dtype=torch.float64, requires_grad=True)
    channels = edge_channels(keypoints, weights, sigma2=thickness, size=16)
    for number, sigma2 in enumerate(thickness.tolist()):
        alike = edge_channels(keypoints, weights, sigma2=sigma2, size=16)[:, number]
        torch.testing.assert_close(channels[:, number], alike)
    channels.sum().backward()
    assert (thickness.grad > 0).all(), "thicker edges cover more"


def test_points_are_edges_of_no_length():
    keypoints, _ = random_graph(2, 3)
    spots = point_map(keypoints, sigma2=1e-2, size=16)
    twice = [keypoints[:, [k, k]] for k in range(3)]
    ones = torch.ones(2, 2, dtype=torch.float64)
    alone = torch.cat([edge_map(pair, ones, sigma2=1e-2, size=16) for pair in twice], dim=1)
    torch.testing.assert_close(spots, alone.amax(dim=1, keepdim=True), rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize("function", [edge_channels, point_map])
def test_gradients_of_the_ablations(function):
    keypoints, weights = random_graph(1, 3)
    more = (weights,) if function is edge_channels else ()
    inputs = [x.clone().requires_grad_() for x in (keypoints, *more, torch.tensor(0.3, dtype=torch.float64))]
    assert torch.autograd.gradcheck(lambda *args: function(*args[:-1], sigma2=args[-1], size=4), inputs)
