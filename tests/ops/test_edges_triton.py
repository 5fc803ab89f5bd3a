"""The edge map's Triton kernels against its definition: by Triton's interpreter, and on CUDA where there is one."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

pytest.importorskip("triton", reason="triton is not installed: it comes with PyTorch's builds for CUDA")

from autolink_gen.ops import edge_operator, edges_triton
from autolink_gen.ops.edges import edge_map, edge_map_dense

_DEVICES = [
    pytest.param("cpu", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="the CUDA device runs them itself")),
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")),
]


@pytest.fixture(params=_DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A device on which the operator uses the kernels: on a CPU, Triton's interpreter runs them."""
    if request.param == "cpu":
        monkeypatch.setattr(edge_operator, "_triton_kernels", lambda keypoints: edges_triton)
    return str(request.param)


def random_graph(batch: int, count: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    keypoints = torch.rand(batch, count, 2, generator=generator) * 2 - 1
    return keypoints, F.softplus(torch.randn(count, count, generator=generator))


def gradients(function: Callable[..., Tensor], graph: tuple[Tensor, Tensor], sigma2: float, size: int) -> list[Tensor]:
    """The map, and the gradients of keypoints, weights and sigma2, in double precision on the CPU."""
    keypoints, weights = (values.clone().requires_grad_() for values in graph)
    thickness = torch.tensor(sigma2, dtype=keypoints.dtype, device=keypoints.device, requires_grad=True)
    drawn = function(keypoints, weights, sigma2=thickness, size=size)
    upstream = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float32).to(drawn)
    leaves = (keypoints, weights, thickness)
    return [
        values.detach().cpu().double() for values in (drawn, *torch.autograd.grad((drawn * upstream).sum(), leaves))
    ]


def assert_kernels_equal_definition(device: str, graph: tuple[Tensor, Tensor], sigma2: float, size: int) -> None:
    ours = gradients(edge_map, tuple(values.to(device) for values in graph), sigma2, size)
    exact = gradients(edge_map_dense, tuple(values.double() for values in graph), sigma2, size)
    for name, value, definition in zip(("map", "keypoints", "weights", "sigma2"), ours, exact, strict=True):
        largest = float(definition.abs().max())
        assert float((value - definition).abs().max()) <= 1e-4 * max(largest, 1e-3), name


@pytest.mark.parametrize(("count", "size"), [(2, 9), (3, 16), (8, 33)])
@pytest.mark.parametrize("sigma2", [1e-3, 0.1])
def test_kernels_equal_the_definition(device: str, count: int, size: int, sigma2: float) -> None:
    assert_kernels_equal_definition(device, random_graph(2, count), sigma2, size)


def test_kernels_with_as_many_keypoints_as_a_graph_may_have(device: str) -> None:
    assert_kernels_equal_definition(device, random_graph(1, 64), 0.01, 5)


@pytest.mark.parametrize(
    "points",
    [
        [[0.3, 0.2], [0.3, 0.2], [0.3, 0.2]],  # all edges have zero length
        [[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0]],  # corners
        [[0.1, 0.0], [0.1, 0.0], [0.5, 0.4]],  # two coincide
        [[1.2, 1.1], [1.5, 0.2], [0.3, 1.3]],  # partly outside
    ],
)
def test_kernels_on_degenerate_edges(device: str, points: list[list[float]]) -> None:
    graph = (torch.tensor([points]).to(device), torch.full((3, 3), 0.7, device=device))
    values = gradients(edge_map, graph, 5e-3, 17)
    assert all(torch.isfinite(value).all() for value in values)
    exact = edge_map_dense(graph[0].cpu().double(), graph[1].cpu().double(), sigma2=5e-3, size=17)
    torch.testing.assert_close(values[0], exact, rtol=1e-4, atol=1e-6)


def test_of_edges_that_tie_the_first_alone_gets_the_gradient(device: str) -> None:
    """Edges (0, 1) and (2, 3) are one and the same segment."""
    points = torch.tensor([[[-0.5, 0.1], [0.6, -0.3], [-0.5, 0.1], [0.6, -0.3]]], device=device)
    weights = torch.full((4, 4), 1e-9, device=device)
    weights[0, 1] = weights[2, 3] = 1.0
    weights.requires_grad_()
    edge_map(points, weights, sigma2=1e-2, size=16).sum().backward()
    assert weights.grad is not None
    assert weights.grad[0, 1] > 1
    assert int((weights.grad != 0).sum()) == 1


def test_what_is_not_finite_makes_the_map_not_finite(device: str) -> None:
    """As the definition's maximum does: a detector that diverged must not go unseen."""
    keypoints, weights = (values.to(device) for values in random_graph(2, 4))
    keypoints[1, 3, 0] = float("nan")
    drawn = edge_map(keypoints, weights, sigma2=1e-2, size=8)
    assert drawn[0].isfinite().all()
    assert drawn[1].isnan().all()
    weights[1, 2] = float("nan")
    assert edge_map(keypoints, weights, sigma2=1e-2, size=8).isnan().all()


def test_no_images_have_no_maps(device: str) -> None:
    keypoints, weights = (values.to(device).requires_grad_() for values in random_graph(0, 4))
    drawn = edge_map(keypoints, weights, sigma2=1e-2, size=8)
    drawn.sum().backward()
    assert drawn.shape == (0, 1, 8, 8)
    assert weights.grad is not None and float(weights.grad.abs().sum()) == 0


def test_upstream_gradients_may_lie_in_memory_in_any_order(device: str) -> None:
    graph = [values.to(device) for values in random_graph(2, 4)]
    upstream = torch.randn(2, 1, 9, 9, generator=torch.Generator().manual_seed(2)).to(device)
    results = []
    for order in (upstream, upstream.transpose(2, 3).contiguous().transpose(2, 3)):
        keypoints = graph[0].clone().requires_grad_()
        edge_map(keypoints, graph[1], sigma2=1e-2, size=9).backward(order)
        results.append(keypoints.grad)
    torch.testing.assert_close(*results)


_COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from autolink_gen.ops import edges_triton as kernels
types = {"winners": "*i32", "count": "i32", "size": "i32", "step": "fp32"}
tile = {"tile_width": kernels._TILE_WIDTH, "tile_height": kernels._TILE_HEIGHT}
for kernel, sizes in [(kernels._draw_kernel, {"block": kernels._BLOCK}), (kernels._backward_kernel, tile)]:
    signature = {name: "constexpr" if name in sizes else types.get(name, "*fp32") for name in kernel.arg_names}
    for capability in (75, 80, 90):
        built = triton.compile(ASTSource(kernel, signature, sizes), target=GPUTarget("cuda", capability, 32))
        print(kernel.__name__, capability, len(built.asm["cubin"]))
"""


def test_kernels_compile_for_gpus_of_three_generations() -> None:
    """The compiler refuses what the interpreter takes; it needs no GPU. Its cubins are not run here."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", _COMPILE]
    built = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    lines = [line.split() for line in built.stdout.splitlines()]
    assert [int(capability) for _, capability, _ in lines] == [75, 80, 90, 75, 80, 90]
    assert all(int(size) > 1000 for *_, size in lines)
