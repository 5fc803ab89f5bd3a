"""Powers and roots of maps that are zero in places."""

import torch
from jaxtyping import Float
from torch import Tensor


def power(maps: Float[Tensor, "*shape"], exponent: float) -> Float[Tensor, "*shape"]:
    """Maps, 0 or more, raised to a positive exponent, with slopes of 0 where they are 0.

    A root has no finite slope there, and one gradient that is not finite spoils all of them.
    """
    if exponent == 1:
        return maps
    is_positive = maps > 0
    return torch.where(is_positive, torch.where(is_positive, maps, 1) ** exponent, 0)
