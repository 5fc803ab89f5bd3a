"""The order of pictures and what a step draws are functions of (seed, step)."""

from itertools import islice

import torch
from torch.utils.data import Dataset

from autolink_gen.training.batches import StepSampler, endless_batches, flip_some, step_generator, to_float


class Numbers(Dataset):
    """Pictures that are their own index."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.full((3, 2, 2), index, dtype=torch.uint8)


def test_every_picture_once_an_epoch():
    sampler = StepSampler(10, 4, seed=3)
    flat = [i for step in range(5) for i in sampler.indices(step)]
    assert sorted(flat[:10]) == sorted(flat[10:]) == list(range(10))
    assert flat[:10] != flat[10:]


def test_a_resumed_order_is_the_straight_one():
    straight = list(islice(iter(StepSampler(7, 3, seed=1)), 9))
    resumed = list(islice(iter(StepSampler(7, 3, seed=1, start_step=4)), 5))
    assert straight[4:] == resumed
    assert straight != list(islice(iter(StepSampler(7, 3, seed=2)), 9))


def test_processes_share_each_batch():
    whole = StepSampler(11, 6, seed=0)
    halves = [StepSampler(11, 3, seed=0, rank=rank, world_size=2) for rank in (0, 1)]
    for step in range(5):
        parts = [half.indices(step) for half in halves]
        assert sorted(parts[0] + parts[1]) == sorted(whole.indices(step))


def test_batches_come_in_order_and_leave_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    batches = endless_batches(Numbers(), StepSampler(10, 4, seed=0, start_step=2))
    assert next(batches)[:, 0, 0, 0].tolist() == StepSampler(10, 4, seed=0).indices(2)
    assert torch.equal(torch.get_rng_state(), before)


def test_worker_processes_change_nothing():
    plain = endless_batches(Numbers(), StepSampler(10, 4, seed=0))
    worked = endless_batches(Numbers(), StepSampler(10, 4, seed=0), workers=1)
    for _ in range(3):
        assert torch.equal(next(plain), next(worked))


def test_each_step_rank_and_stream_draws_its_own():
    keys = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 0)]
    draws = [torch.rand(3, generator=step_generator(5, s, rank=r, stream=t)).tolist() for s, r, t in keys]
    assert len({tuple(d) for d in draws}) == len(keys)
    assert draws[0] == torch.rand(3, generator=step_generator(5, 0)).tolist()


def test_pictures_to_floats():
    pictures = to_float(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4))
    assert (pictures[0] == 0).all()
    assert (pictures[1] == 1).all()
    assert pictures.is_contiguous(memory_format=torch.channels_last)


def test_flips():
    pictures = torch.arange(4.0).expand(50, 3, 4, 4)
    assert flip_some(pictures, probability=0.0, generator=step_generator(0, 0)) is pictures
    flipped = flip_some(pictures, probability=1.0, generator=step_generator(0, 0))
    assert torch.equal(flipped, pictures.flip(-1))
    some = flip_some(pictures, probability=0.5, generator=step_generator(0, 0))[:, 0, 0, 0]
    assert 10 < (some == 3).sum() < 40
