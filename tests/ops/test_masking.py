"""The random block mask."""

import pytest
import torch
from helpers.messages import raises_mentioning

from autolink_gen.ops.masking import random_block_mask


def test_whole_blocks_are_kept_or_dropped():
    mask = random_block_mask(3, size=64, grid=16)
    assert mask.shape == (3, 1, 64, 64)
    blocks = mask.unfold(2, 4, 4).unfold(3, 4, 4).flatten(-2)
    assert torch.equal(blocks.amin(-1), blocks.amax(-1))
    assert set(mask.unique().tolist()) == {0.0, 1.0}


def test_the_share_dropped_is_the_ratio():
    mask = random_block_mask(200, size=16, grid=16, ratio=0.8, generator=torch.Generator().manual_seed(0))
    assert 1 - mask.mean().item() == pytest.approx(0.8, abs=0.01)


def test_one_draw_a_picture_and_a_seed_repeats_it():
    first, second, other = (
        random_block_mask(2, size=32, generator=torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])


def test_extreme_ratios():
    assert random_block_mask(1, size=16, ratio=0.0).min() == 1
    assert random_block_mask(1, size=16, ratio=1.0).max() == 0


def test_bad_input():
    with raises_mentioning(ValueError, "grid", 60, 16):
        random_block_mask(1, size=60)
    with pytest.raises(ValueError, match="ratio must lie in"):
        random_block_mask(1, size=64, ratio=1.5)
