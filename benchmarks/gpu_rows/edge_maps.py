"""The edge map against its definition: time, memory, and the largest difference from it in double precision."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from autolink_gen.ops import edge_operator
from autolink_gen.ops.edges import edge_map, edge_map_dense
from autolink_gen.ops.segments import edge_list, pixel_grid
from gpu_rows.measuring import Case, Setting, Values, median_ms, peak_mb, rounded

SIGMA2 = 1e-3
NUMBERS_OF_KEYPOINTS = (8, 16, 32, 64)
EdgeMap = Callable[..., Tensor]


def dense_in_three_cases(keypoints: Tensor, edge_weights: Tensor, *, sigma2: float, size: int) -> Tensor:
    """The edge map as AutoLink eq. 2-4 and its authors' code have it: all edges at once, each case of eq. 3 a mask."""
    i, j = edge_list(keypoints.shape[1], device=keypoints.device)
    start, end = keypoints[:, i, None], keypoints[:, j, None]  # (B, E, 1, 2)
    pixels = pixel_grid(size, like=keypoints).reshape(1, 1, -1, 2)
    along, to_start, to_end = end - start, pixels - start, pixels - end
    t = (to_start * along).sum(-1) / (along.square().sum(-1) + 1e-8)
    to_foot = pixels - (start + t.unsqueeze(-1) * along)
    is_before, is_after = (t <= 0).to(t), (t >= 1).to(t)
    is_between = (1 - is_before) * (1 - is_after)
    distance2 = sum(
        case * offset.square().sum(-1)
        for case, offset in ((is_before, to_start), (is_after, to_end), (is_between, to_foot))
    )
    maps = edge_weights[i, j, None] * torch.exp(-distance2 / sigma2)
    return maps.amax(1).view(len(keypoints), 1, size, size)


@contextmanager
def without_triton() -> Iterator[None]:
    """Let the operator draw by PyTorch alone."""
    kernels = edge_operator._triton_kernels
    edge_operator._triton_kernels = lambda keypoints: None
    try:
        yield
    finally:
        edge_operator._triton_kernels = kernels


IMPLEMENTATIONS: dict[str, tuple[EdgeMap, Callable[[], AbstractContextManager[None]]]] = {
    "ours": (edge_map, nullcontext),
    "ours, by PyTorch alone": (edge_map, without_triton),
    "all edges at once, as the authors": (dense_in_three_cases, nullcontext),
}


def random_graph(batch: int, num_keypoints: int, *, device: str) -> tuple[Tensor, Tensor]:
    """Keypoints spread over the image and weights of all strengths, both wanting gradients."""
    draw = torch.Generator().manual_seed(0)
    keypoints = torch.rand(batch, num_keypoints, 2, generator=draw) * 1.6 - 0.8
    weights = F.softplus(torch.randn(num_keypoints, num_keypoints, generator=draw) - 2)
    return keypoints.to(device).requires_grad_(), weights.to(device).requires_grad_()


def largest_difference(draw: EdgeMap, graph: tuple[Tensor, Tensor], size: int) -> float:
    """From the definition in double precision, on the first two images."""
    keypoints, weights = (values.detach() for values in graph)
    few = keypoints[:2]
    exact = edge_map_dense(few.double(), weights.double(), sigma2=SIGMA2, size=size)
    return float((draw(few, weights, sigma2=SIGMA2, size=size) - exact).abs().max())


def measure(name: str, num_keypoints: int, setting: Setting) -> Values:
    """One implementation at one number of keypoints."""
    draw, context = IMPLEMENTATIONS[name]
    size = setting.pick(128, 16)
    graph = random_graph(setting.pick(64, 2), num_keypoints, device=setting.device)
    upstream = torch.randn(len(graph[0]), 1, size, size, device=setting.device)

    def forward() -> Tensor:
        with torch.no_grad():
            return draw(*graph, sigma2=SIGMA2, size=size)

    def both_ways() -> None:
        torch.autograd.grad(draw(*graph, sigma2=SIGMA2, size=size), graph, upstream)

    with context():
        return rounded(
            {
                "keypoints": num_keypoints,
                "forward ms": median_ms(forward, setting),
                "forward + backward ms": median_ms(both_ways, setting),
                "peak MB": peak_mb(both_ways, setting.device),
                "largest difference": largest_difference(draw, graph, size),
            }
        )


def cases(setting: Setting) -> Iterator[Case]:
    """Every implementation at every number of keypoints."""
    torch.set_float32_matmul_precision("high" if setting.on_cuda else "highest")  # as training sets it
    for number in NUMBERS_OF_KEYPOINTS:
        for name in IMPLEMENTATIONS:
            yield Case(f"{name}, K = {number}", partial(measure, name, number, setting))
