"""The edge map as an operator: compilers do not break at it, no device waits for it, and its search is exact."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from helpers.messages import raises_mentioning
from torch import Tensor

from autolink_gen.ops import edge_operator, edge_search
from autolink_gen.ops.edges import edge_map, edge_map_dense


def random_graph(
    batch: int = 2, count: int = 5, *, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.rand(batch, count, 2, generator=generator, dtype=dtype) * 2 - 1
    weights = F.softplus(torch.randn(count, count, generator=generator, dtype=dtype))
    return keypoints.to(device), weights.to(device)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_operator_keeps_the_promises_of_operators(dtype: torch.dtype) -> None:
    """PyTorch's own check: schema, shapes without data, gradients, and all of them under the compiler."""
    keypoints, weights = (values.requires_grad_() for values in random_graph(dtype=dtype))
    sigma2 = torch.tensor(0.05, dtype=dtype, requires_grad=True)
    torch.library.opcheck(
        torch.ops.autolink_gen.edge_map.default, (keypoints, weights.detach().log().requires_grad_(), sigma2, 8)
    )


def test_compiled_code_does_not_break_at_it(without_shape_checks: None) -> None:
    def length_of_lines(keypoints: Tensor, weights: Tensor, sigma2: Tensor) -> Tensor:
        return edge_map(keypoints * 0.9, weights + 0.1, sigma2=sigma2, size=16).square().sum()

    compiled = torch.compile(length_of_lines, fullgraph=True, backend="aot_eager")
    results = []
    for function in (length_of_lines, compiled):
        leaves = [*(values.requires_grad_() for values in random_graph()), torch.tensor(0.01, requires_grad=True)]
        total = function(*leaves)
        results.append([total.detach(), *torch.autograd.grad(total, leaves)])
    for plain, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("is_tensor", [True, False])
def test_no_number_has_to_leave_the_device(is_tensor: bool) -> None:
    """A tensor on the meta device has no numbers: code that asks for one fails."""
    keypoints, weights = (values.requires_grad_() for values in random_graph(device="meta"))
    sigma2 = torch.tensor(0.01, device="meta", requires_grad=True) if is_tensor else 0.01
    edge_map(keypoints, weights, sigma2=sigma2, size=16).sum().backward()
    assert keypoints.grad is not None and keypoints.grad.shape == keypoints.shape
    assert weights.grad is not None and weights.grad.shape == weights.shape


def test_a_second_derivative_is_refused() -> None:
    """It is not there, and zeros in its place would be wrong."""
    keypoints, weights = random_graph()
    drawn = edge_map(keypoints.requires_grad_(), weights, sigma2=0.05, size=8)
    (slope,) = torch.autograd.grad(drawn.sum(), keypoints, create_graph=True)
    with raises_mentioning(RuntimeError, "edge map", "second derivative"):
        slope.square().sum().backward()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_drawn_in_single(dtype: torch.dtype) -> None:
    keypoints, weights = (values.to(dtype) for values in random_graph())
    drawn = edge_map(keypoints, weights, sigma2=1e-3, size=32)
    exact = edge_map(keypoints.float(), weights.float(), sigma2=1e-3, size=32)
    assert drawn.dtype == dtype
    assert torch.equal(drawn, exact.to(dtype))


@pytest.fixture(params=["high", "medium"])
def rounded_products(request: pytest.FixtureRequest) -> Iterator[None]:
    """Matrix products may be rounded to fewer bits, where the machine has such."""
    torch.set_float32_matmul_precision(request.param)
    yield
    torch.set_float32_matmul_precision("highest")


def test_winners_are_exact_where_matrix_products_may_be_rounded(
    rounded_products: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rounded(first: Tensor, second: Tensor, *, out: Tensor | None = None) -> Tensor:
        product = (first.bfloat16() @ second.bfloat16()).float()
        return product if out is None else out.copy_(product)

    for name in ("matmul", "mm", "bmm"):
        monkeypatch.setattr(torch, name, rounded)
    keypoints, weights = random_graph(4, 12)
    drawn = edge_map(keypoints, weights, sigma2=1e-2, size=32)
    exact = edge_map_dense(keypoints.double(), weights.double(), sigma2=1e-2, size=32)
    assert float((drawn - exact).abs().max()) < 1e-5


def test_without_usable_kernels_plain_pytorch_draws_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with CUDA and no C compiler: there is no CUDA device here, so that they cannot be tried out."""
    edge_operator._load_triton_kernels.cache_clear()
    monkeypatch.setattr(edge_operator, "_triton_kernels", lambda keypoints: edge_operator._load_triton_kernels())
    monkeypatch.setattr("autolink_gen.ops.edges_triton.try_out", _fail)
    keypoints, weights = random_graph()
    try:
        with pytest.warns(RuntimeWarning, match="no C compiler") as warned:
            drawn = [edge_map(keypoints, weights, sigma2=1e-2, size=16) for _ in range(2)]
    finally:
        edge_operator._load_triton_kernels.cache_clear()
    assert len(warned) == 1
    monkeypatch.undo()
    assert all(torch.equal(each, edge_map(keypoints, weights, sigma2=1e-2, size=16)) for each in drawn)


def _fail(device: torch.device) -> None:
    raise RuntimeError("no C compiler\nsecond line")


def test_the_search_looks_at_few_edges_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory does not grow with the edges: more of them are looked at in more pieces."""
    pieces = []
    search = edge_search._tile_winners
    monkeypatch.setattr(edge_search, "_MAX_BOUNDS", 1000)
    monkeypatch.setattr(edge_search, "_tile_winners", lambda *args: pieces.append(args[2]) or search(*args))
    edge_map(*random_graph(2, 12), sigma2=1e-3, size=48)
    assert max(len(centres) for centres in pieces) * 2 * 66 <= 1000
