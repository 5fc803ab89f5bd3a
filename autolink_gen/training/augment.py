"""Augmentation that gradients pass through, for GANs on few pictures (DiffAugment: Zhao et al. 2020)."""

import torch
from jaxtyping import Float
from kornia.augmentation import ColorJiggle, RandomAffine, RandomErasing
from torch import Tensor, nn

_SHIFT = 1 / 8
_COVERED = 1 / 4


class Augment(nn.Module):
    """Recolours pictures, then moves them and covers a part of each; edge maps are moved and covered alike."""

    def __init__(self) -> None:
        super().__init__()
        self.colours = ColorJiggle(brightness=0.3, contrast=0.5, saturation=0.5, p=1.0)
        self.places = nn.Sequential(
            RandomAffine(degrees=0, translate=(_SHIFT, _SHIFT), p=1.0),
            RandomErasing(scale=(_COVERED, _COVERED), ratio=(1.0, 1.0), p=1.0),
        )

    def forward(
        self, pictures: Float[Tensor, "B 3 S S"], edge_maps: Float[Tensor, "B 1 S S"], *, seed: int
    ) -> tuple[Float[Tensor, "B 3 S S"], Float[Tensor, "B 1 S S"]]:
        """Pictures about in [-1, 1] and edge maps, changed as ``seed`` says; grey fills what is laid bare."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            coloured = self.colours((pictures.clamp(-1, 1) + 1) / 2) * 2 - 1
            both = self.places(torch.cat([coloured, edge_maps], dim=1))
        return both[:, :3], both[:, 3:]
