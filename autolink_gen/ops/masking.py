"""The random mask that hides most of the image from the decoder (AutoLink sec. 3.2)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from autolink_gen.common.devices import to_device


def random_block_mask(
    batch: int,
    *,
    size: int,
    grid: int = 16,
    ratio: float = 0.8,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Float[Tensor, "B 1 size size"]:
    """Masks of ``grid`` x ``grid`` blocks, each dropped with probability ``ratio``: 1 = kept, 0 = dropped.

    One draw an image. The draw is made on the generator's device and moved to ``device``, so that a seed
    gives the same masks everywhere. Raises ValueError where ``size`` is no multiple of ``grid`` or the
    ratio is outside [0, 1].

    >>> mask = random_block_mask(1, size=4, grid=2, ratio=0.5, generator=torch.Generator().manual_seed(0))
    >>> mask[0, 0].int().tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    """
    if size % grid:
        raise ValueError(f"size must be a multiple of grid, got size {size} and grid {grid}")
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio must lie in [0, 1], got {ratio}")
    draw_device = generator.device if generator is not None else torch.device("cpu")
    draws = torch.rand(batch, 1, grid, grid, generator=generator, device=draw_device)
    is_kept = to_device((draws >= ratio).to(torch.float32), device)
    return F.interpolate(is_kept, scale_factor=size // grid, mode="nearest")
