"""Keypoints that move with the picture, keypoints that stay, and pairs that mirroring exchanges."""

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.evaluation.equivariance import Equivariance, equivariance
from autolink_gen.models.autolink import AutoLink


class Dots(Dataset[Tensor]):
    """Pictures of a red dot and, somewhere else, a green one."""

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.places = torch.rand(count, 2, 2, generator=generator) - 0.5

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Tensor:
        line = torch.linspace(-1, 1, 65)
        picture = torch.zeros(3, 65, 65)
        for channel, (x, y) in enumerate(self.places[index]):
            distance2 = (line - x).square() + (line - y).square().unsqueeze(1)
            picture[channel] = 255 * torch.exp(-distance2 / 0.01)
        return picture.round().to(torch.uint8)


class Finder(AutoLink):
    """Finds each dot by the mean place of its colour."""

    edge_weights = torch.ones(2, 2)

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)

    def detect(self, images: Tensor) -> Tensor:
        line = torch.linspace(-1, 1, images.shape[-1])
        shares = images[:, :2] / images[:, :2].sum(dim=(-2, -1), keepdim=True)
        return torch.stack([(shares.sum(-2) * line).sum(-1), (shares.sum(-1) * line).sum(-1)], dim=-1)


class Sided(Finder):
    """Gives the dot on the left first, whatever its colour: mirroring exchanges the two."""

    def detect(self, images: Tensor) -> Tensor:
        found = super().detect(images)
        return torch.stack([found[i][found[i, :, 0].argsort()] for i in range(len(found))])


class Still(Finder):
    def detect(self, images: Tensor) -> Tensor:
        return torch.tensor([[0.5, 0.2], [-0.3, 0.2]]).expand(len(images), -1, -1)


def measured(graph: Finder, count: int = 40) -> Equivariance:
    return equivariance(graph, Dots(count), batch_size=16)


def test_what_moves_with_the_picture_has_no_error():
    found = measured(Finder())
    assert max(found.shifted_percent, found.turned_percent, found.mirrored_percent) < 0.3
    assert found.unrelated_percent > 10
    assert found.num_pictures == 40


def test_names_may_change_when_a_picture_is_mirrored():
    found = measured(Sided())
    assert found.mirrored_percent < 0.3


def test_what_stays_is_off_by_the_movement():
    found = measured(Still(), count=200)
    assert found.shifted_percent == pytest.approx(6.25 * 1.53, rel=0.1)  # the mean distance in a square of that size
    assert found.turned_percent > 1
    assert found.mirrored_percent > 1 and found.unrelated_percent == 0


def test_the_same_seed_gives_the_same_number():
    assert measured(Still()) == measured(Still())
    assert equivariance(Still(), Dots(40), batch_size=16, seed=1) != measured(Still())


def test_one_picture_is_not_enough():
    with pytest.raises(ValueError, match="there are 1 images"):
        measured(Finder(), count=1)


def test_pictures_are_spread_over_the_set():
    assert equivariance(Finder(), Dots(30), max_images=7).num_pictures == 7
