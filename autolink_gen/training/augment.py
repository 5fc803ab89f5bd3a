"""Augmentation of images, with gradients, and of pairs of frames.

None of them is a module: with a network that moves to a device kornia's would move, too, and draw there, other numbers
for the same seed, and wait for them.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from kornia.augmentation import ColorJiggle, RandomAffine, RandomErasing
from kornia.geometry import transform_points
from torch import Tensor, nn

from autolink_gen.common.devices import to_device
from autolink_gen.ops.pixels import from_pixels, to_pixels
from autolink_gen.ops.ranges import from_signed, to_signed

_SHIFT = 1 / 8
_COVERED = 1 / 4
_COLOURS = 1  # added to the seed by which a pair is moved: that of its colours
_TURN_DEGREES, _MOST_SHIFT, _SCALES = 10.0, 1 / 16, (0.9, 1.1)


class Augment:
    """Recolours, moves and partly covers images; edge maps are moved and covered alike.

    For GANs on few images (DiffAugment: Zhao et al. 2020).
    """

    def __init__(self) -> None:
        self.colours = ColorJiggle(brightness=0.3, contrast=0.5, saturation=0.5, p=1.0)
        self.places = nn.Sequential(
            RandomAffine(degrees=0, translate=(_SHIFT, _SHIFT), p=1.0),
            RandomErasing(scale=(_COVERED, _COVERED), ratio=(1.0, 1.0), p=1.0),
        )

    def __call__(
        self, images: Float[Tensor, "B 3 S S"], edge_maps: Float[Tensor, "B 1 S S"], *, seed: int
    ) -> tuple[Float[Tensor, "B 3 S S"], Float[Tensor, "B 1 S S"]]:
        """Images about in [0, 1] and edge maps, changed as ``seed`` says; grey fills what is laid bare."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            coloured = to_signed(self.colours(images.clamp(0, 1)))  # what is laid bare is 0, which is grey so
            both = self.places(torch.cat([coloured, edge_maps], dim=1))
        # Maps are moved beside images, which may need gradients, and need none themselves.
        return from_signed(both[:, :3]), both[:, 3:].detach()


class MovedImages(NamedTuple):
    """Transformed images, of any channels, and the pixel matrix of each."""

    images: Float[Tensor, "B C S S"]
    matrix: Float[Tensor, "B 3 3"]

    def follow(self, keypoints: Float[Tensor, "B K 2"]) -> Float[Tensor, "B K 2"]:
        """Keypoints (x, y) in [-1, 1] of the images before, moved as these were."""
        size = self.images.shape[-1]
        points = transform_points(self.matrix.to(keypoints), to_pixels(keypoints, size=size))
        return from_pixels(points, size=size)


class RandomMove:
    """Turns, scales and shifts images a little; the border is mirrored inwards."""

    def __init__(self) -> None:
        self.move = RandomAffine(_TURN_DEGREES, (_MOST_SHIFT, _MOST_SHIFT), _SCALES, padding_mode="reflection", p=1.0)

    def __call__(self, images: Float[Tensor, "B C S S"], *, seed: int) -> MovedImages:
        """Images, of any channels, moved as ``seed`` says, each in its own way."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            moved = self.move(images)
        matrix = self.move.transform_matrix
        assert matrix is not None
        return MovedImages(moved, matrix)


class Recolour:
    """Mixes the colours of images, and makes negatives of some; ``strength`` from 0, not at all, to 1.

    One linear map of the colours an image. At strength 1, half of the images become negatives: whether a coat is
    black or white cannot be told from them.
    """

    def __init__(self, strength: float) -> None:
        self.strength = strength

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "B 3 S S"], *, seed: int) -> Float[Tensor, "B 3 S S"]:
        """Images in [0, 1], each in other colours, as ``seed`` says."""
        count, strength = len(images), self.strength
        generator = torch.Generator().manual_seed(seed)
        mix = torch.eye(3) + 0.35 * strength * torch.randn(count, 3, 3, generator=generator)
        mix = mix / mix.sum(2, keepdim=True).clamp_min(0.4)  # greys stay grey, as a rule
        contrast = 1 + strength * (0.6 * torch.rand(count, 1, 1, generator=generator) - 0.4)
        sign = 1 - 2 * (torch.rand(count, 1, 1, generator=generator) < strength / 2).float()
        brightness = strength * (0.5 * torch.rand(count, 1, 1, 1, generator=generator) - 0.25)
        colours = to_device(sign * contrast * mix, images.device).to(images.dtype)
        mixed = torch.einsum("nij,njhw->nihw", colours, to_signed(images))
        return from_signed((mixed + to_device(brightness, images.device).to(images.dtype)).clamp(-1, 1))


class VaryPairs:
    """Recolours and slightly moves a share of image pairs, both images of a pair alike.

    For clips of few people: a network that has seen a face in one colour at one place alone knows the face by heart.
    Differs: the paper has no such augmentation.
    """

    def __init__(self, share: float) -> None:
        self.share, self.move = share, RandomMove()
        self.colours = ColorJiggle(brightness=0.2, contrast=(0.7, 1.3), saturation=(0.5, 1.5), hue=0.05, p=1.0)

    def __call__(self, pairs: Float[Tensor, "B 2 3 S S"], *, generator: torch.Generator) -> Float[Tensor, "B 2 3 S S"]:
        """Pairs in [0, 1], a share of them changed as ``generator``, on the CPU, says."""
        if self.share == 0:
            return pairs
        chance = torch.rand(len(pairs), generator=generator)
        seed = int(torch.randint(2**62, (), generator=generator))
        selected = to_device((chance < self.share).nonzero().flatten(), pairs.device)
        if not len(selected):
            return pairs
        moved = self.move(pairs[selected].flatten(1, 2), seed=seed).images  # six channels: both are moved alike
        tall = moved.unflatten(1, (2, 3)).transpose(1, 2).flatten(2, 3)  # one above the other: coloured alike
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + _COLOURS)
            coloured = self.colours(tall)
        varied = pairs.clone()
        varied[selected] = coloured.unflatten(2, (2, -1)).transpose(1, 2)
        return varied
