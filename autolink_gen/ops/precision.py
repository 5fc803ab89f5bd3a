"""Single precision, for what must not be computed in half."""

import torch
from torch import Tensor


def single(values: Tensor) -> Tensor:
    """The tensor in single precision at least.

    Half precision rounds coordinates to the pixel, and leaves little of sums, squares and small differences.
    """
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
