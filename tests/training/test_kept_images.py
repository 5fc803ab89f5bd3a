"""Frames of clips kept on the device: draws are the same, and what is kept is not decoded again."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import pytest
import torch

from autolink_gen.data.video.random_frames import RandomFrames
from autolink_gen.training import batch_source
from autolink_gen.training.batch_source import BatchSource
from autolink_gen.training.batches import StepSampler, endless_batches

FRAME_BYTES = 3 * 8 * 8


class Clip:
    """A clip whose frames show their number; `read_of` counts how often each was read."""

    def __init__(self, number: int, length: int, *, damaged: Sequence[int] = ()) -> None:
        self.number, self.length, self.damaged = number, length, damaged
        self.read_of = Counter[int]()

    @property
    def name(self) -> str:
        return f"clip {self.number}"

    def count(self) -> int:
        if not self.length:
            raise ValueError(f"{self.name} cannot be read")
        return self.length

    def read(self, numbers: Sequence[int], *, min_side: int) -> Iterator[tuple[int, np.ndarray]]:
        for number in numbers:
            self.read_of[number] += 1
            readable = [other for other in range(self.length) if other not in self.damaged]
            nearest = min(readable, key=lambda other: abs(other - number))
            yield nearest, np.full((8, 8, 3), (40 * self.number + nearest) % 251, np.uint8)


def draws_of(clips: list[Clip], *, frames: int = 2) -> RandomFrames:
    return RandomFrames(clips, image_size=8, frames=frames, cache_bytes=0)


def clips_of(*lengths: int) -> list[Clip]:
    return [Clip(number, length) for number, length in enumerate(lengths)]


def kept(draws: RandomFrames, *, workers: int = 0) -> BatchSource:
    return BatchSource(draws, sampler(draws), workers=workers, device=torch.device("cpu"))


def sampler(draws: RandomFrames) -> StepSampler:
    return StepSampler(len(draws), 6, seed=1)


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a CPU keep frames, as a CUDA device does."""
    monkeypatch.setattr(batch_source, "room_for_images", lambda device: 100 * FRAME_BYTES)


def read_of(clips: list[Clip]) -> int:
    return sum(clip.read_of.total() for clip in clips)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("frames", [1, 2])
def test_kept_frames_give_the_draws_that_clips_give(frames, workers):
    draws, again = (draws_of(clips_of(5, 9, 3), frames=frames) for _ in range(2))
    source, expected = kept(again, workers=workers), endless_batches(draws, sampler(draws))
    for _ in range(40):
        batch = next(source)
        assert batch.shape == ((6, 2, 3, 8, 8) if frames == 2 else (6, 3, 8, 8))
        assert torch.equal(batch, next(expected))


def test_frames_are_not_decoded_again_once_all_are_kept():
    clips = clips_of(5, 9, 3)
    source = kept(draws_of(clips))
    list(islice(source, 60))
    before = read_of(clips)
    assert all(set(clip.read_of) == set(range(clip.length)) for clip in clips)
    assert before < 100, "of 720 frames"
    list(islice(source, 60))
    assert read_of(clips) == before


def test_frames_are_kept_only_where_all_have_room(monkeypatch):
    clips = clips_of(50, 90, 30)
    list(islice(kept(draws_of(clips)), 100))
    assert read_of(clips) > 1100, "none is kept, for a hundred have room"
    monkeypatch.setattr(batch_source, "room_for_images", lambda device: 300 * FRAME_BYTES)
    again = clips_of(50, 90, 30)
    list(islice(kept(draws_of(again)), 100))
    assert read_of(again) < 500


def test_where_clips_are_longer_than_was_guessed_draws_are_the_same():
    first = {index % 12 for index in StepSampler(12 * draws_of(clips_of(*[2] * 12)).draws, 6, seed=1).indices(0)}
    lengths = [2 if number in first else 30 for number in range(12)]
    assert sum(lengths) > 100, "more than there is room for"
    clips = clips_of(*lengths)
    source, draws = kept(draws_of(clips)), draws_of(clips_of(*lengths))
    expected = endless_batches(draws, sampler(draws))
    for _ in range(60):
        assert torch.equal(next(source), next(expected))
    assert read_of(clips) < 700, "of 720, since some are kept"


def test_stand_ins_and_clips_that_cannot_be_read_are_as_without_keeping():
    def damaged() -> RandomFrames:
        clips = [Clip(0, 6, damaged=(2, 3)), Clip(1, 0), Clip(2, 9)]
        return RandomFrames(clips, image_size=8, frames=2, cache_bytes=0, max_bad_share=0.5)

    source, draws = kept(damaged()), damaged()
    expected = endless_batches(draws, sampler(draws))
    for _ in range(60):
        assert torch.equal(next(source), next(expected))
