"""The cost of a graph's edges."""

from jaxtyping import Float
from torch import Tensor


def edge_cost(
    keypoints: Float[Tensor, "B K 2"], edge_weights: Float[Tensor, "K K"], *, floor: float
) -> Float[Tensor, ""]:
    """Sum over edges i < j of weight times (mean squared length + ``floor``); only the weights receive gradients.

    Keypoints are (x, y) in [-1, 1]. The square makes two short edges cheaper than the long one that they replace, and
    the floor keeps edges of no length from growing without cost. Differs: the paper has no such term.
    """
    lengths2 = (keypoints.detach().unsqueeze(2) - keypoints.detach().unsqueeze(1)).square().sum(-1).mean(0)
    return (edge_weights * (lengths2 + floor)).triu(1).sum()
