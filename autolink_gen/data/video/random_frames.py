"""Random frames of clips: pairs for pose transfer, single ones for the graph learner."""

import hashlib
import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from autolink_gen.common.tolerance import MAX_BAD_SHARE, Tolerance
from autolink_gen.data.images import CACHE_BYTES, FIT, check_fit, fit_square
from autolink_gen.data.video.clips import Clip

logger = logging.getLogger(__name__)

MIN_ITEMS = 100_000
_MIN_DRAWS = 10  # of each clip an epoch, however many clips there are


class Draw(NamedTuple):
    """The frames of one draw, the clip that they are of, and how many frames that clip has.

    The latter is 0 where others stand in for frames that cannot be read.
    """

    frames: UInt8[Tensor, "F 3 S S"]
    clip: int
    clip_length: int


class RandomFrames(Dataset[Tensor]):
    """Random frames of clips; each draw depends on (seed, index) alone.

    `[i]` is of clip i modulo their number: two frames (2, 3, S, S) uint8 RGB, or one (3, S, S) with
    `frames=1`. Frames once decoded are kept small in memory, up to `cache_bytes` bytes in all, the latest read;
    loader workers share that limit among them. A clip that cannot be read is logged once, listed in `bad_clips`,
    and the next one takes its place. The frames of a pair differ where their numbers do, even where a clip has fewer
    than it promises.

    Raises:
        ValueError: no clips, or an argument out of range.
        ValueError: when read, if more than `max_bad_share` of the clips (and more than one) are unreadable.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        *,
        image_size: int,
        frames: int = 2,
        fit: FIT = "crop",
        seed: int = 0,
        cache_bytes: int = CACHE_BYTES,
        max_bad_share: float = MAX_BAD_SHARE,
    ) -> None:
        check_fit(fit)
        if not clips:
            raise ValueError("there are no clips to draw frames from; give at least one")
        if frames not in (1, 2):
            raise ValueError(f"frames={frames}: draw one frame or two")
        self.clips, self.image_size, self.frames = list(clips), image_size, frames
        self.fit: FIT = fit
        self.seed, self.cache_bytes = seed, cache_bytes
        self.draws = max(_MIN_DRAWS, -(-MIN_ITEMS // len(clips)))
        self._counts: dict[int, int] = {}
        self._bad: set[int] = set()
        self._tolerance = Tolerance(len(clips), max_bad_share, "clips", "remove or replace them")
        self._memory: dict[tuple[int, int], np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.clips) * self.draws

    def __getitem__(self, index: int) -> UInt8[Tensor, "2 3 S S"] | UInt8[Tensor, "3 S S"]:
        frames = self.draw(index).frames
        return frames if self.frames == 2 else frames[0]

    def draw(self, index: int) -> Draw:
        """A draw with what tells which frames it has; raises as `[i]` does."""
        if not 0 <= index < len(self):
            raise IndexError(f"draw {index} of {len(self)}")
        number = len(self.clips)
        for offset in range(number):
            draw = self._draw((index + offset) % number, index)
            if draw is not None:
                return draw
        raise ValueError(self._tolerance.message())

    def numbers(self, index: int, *, count: int) -> list[int]:
        """The numbers of a draw's frames in a clip of `count` frames."""
        return [int(share * count) for share in _shares(self.seed, index, self.frames)]

    @property
    def bad_clips(self) -> list[str]:
        """The clips that could not be read so far in this process."""
        return [self.clips[index].name for index in sorted(self._bad)]

    def _draw(self, clip: int, index: int) -> Draw | None:
        """One draw, or None where the clip is bad."""
        if clip in self._bad:
            return None
        try:
            if clip not in self._counts:
                self._counts[clip] = max(1, self.clips[clip].count())
            count = self._counts[clip]
            if count < self.frames:
                raise ValueError(f"{self.clips[clip].name} has one frame, and a pair takes two; remove or replace it")
            frames, are_exact = self._frames(clip, self.numbers(index, count=count))
            return Draw(torch.from_numpy(np.stack(frames)), clip, count if are_exact else 0)
        except ValueError as error:
            self._count_bad(clip, error)
            return None

    def _frames(self, clip: int, numbers: list[int]) -> tuple[list[np.ndarray], bool]:
        """The frames of these numbers, each (3, S, S), and whether no other stands in for any."""
        frames = {number: self._memory[clip, number] for number in numbers if (clip, number) in self._memory}
        missing = sorted(set(numbers) - set(frames))
        # A damaged frame, or one beyond the end of a clip that was cut short: the nearest stands in.
        distances: dict[int, float] = dict.fromkeys(missing, math.inf)
        stands_in: dict[int, int] = {}
        for number, pixels in self.clips[clip].read(missing, min_side=self.image_size) if missing else ():
            small = self._small(clip, number, pixels)
            for target in missing:
                if abs(number - target) < distances[target]:
                    distances[target], frames[target], stands_in[target] = abs(number - target), small, number
        if len(frames) < len(set(numbers)):
            raise ValueError(f"{self.clips[clip].name}: no frame can be read; remove or replace it")
        if len(set(numbers)) > len({stands_in.get(number, number) for number in numbers}):
            frames = self._two_others(clip, sorted(numbers))
        are_exact = all(number == other for number, other in stands_in.items())
        return [frames[number] for number in numbers], are_exact

    def _two_others(self, clip: int, numbers: list[int]) -> dict[int, np.ndarray]:
        """Two different frames for two numbers that share a nearest frame: the nearest and the next nearest."""
        for candidates in (numbers, [0, *numbers]):  # a short clip is read from its beginning
            frames = {
                number: self._small(clip, number, pixels)
                for number, pixels in self.clips[clip].read(candidates, min_side=self.image_size)
            }
            if len(frames) > 1:
                second = min(frames, key=lambda number: abs(number - numbers[1]))
                first = min(set(frames) - {second}, key=lambda number: (abs(number - numbers[0]), number))
                return {numbers[0]: frames[first], numbers[1]: frames[second]}
        raise ValueError(f"{self.clips[clip].name} shows one frame alone, and a pair takes two; remove or replace it")

    def _small(self, clip: int, number: int, pixels: np.ndarray) -> np.ndarray:
        """A frame resized to (3, S, S), as the cache keeps it."""
        cached = self._memory.get((clip, number))
        if cached is not None:
            return cached
        square = np.asarray(fit_square(Image.fromarray(pixels), size=self.image_size, fit=self.fit))
        small = np.ascontiguousarray(square.transpose(2, 0, 1))
        worker = get_worker_info()
        room = self.cache_bytes // (worker.num_workers if worker else 1)
        self._memory[clip, number] = small
        while len(self._memory) > room // small.nbytes:
            del self._memory[next(iter(self._memory))]
        return small

    def _count_bad(self, clip: int, error: ValueError) -> None:
        self._bad.add(clip)
        self._tolerance.add(self.clips[clip].name, error)
        logger.warning("%s; the next clip takes its place", error)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_memory": {}}


def _shares(seed: int, index: int, count: int) -> list[float]:
    """Numbers in [0, 1), the same for the same seed and index everywhere."""
    digest = hashlib.blake2b(f"{seed} {index}".encode(), digest_size=8 * count).digest()
    return [int.from_bytes(digest[8 * i : 8 * i + 8], "big") / 2**64 for i in range(count)]
