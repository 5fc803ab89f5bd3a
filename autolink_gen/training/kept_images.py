"""Images kept on the device once they were read, so that training waits for no file."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.common.devices import to_device
from autolink_gen.data.mixture import Mixture
from autolink_gen.data.video.random_frames import Draw, RandomFrames

_SPARE = 1.25  # clips may be longer than those that their number of frames is guessed from


class KeptImages(ABC):
    """The images that a data set's items consist of, on a device, each under a key.

    They are kept if all of them take `room_bytes` at most, else none is. An item has `images_an_item` of them.
    """

    images_an_item = 1

    def __init__(self, room_bytes: int, device: torch.device) -> None:
        self._room_bytes, self._device = room_bytes, device
        self._rows: dict[Hashable, int] = {}
        self._images: Tensor | None = None  # (N, 3, S, S)

    @property
    @abstractmethod
    def reader(self) -> Dataset[Any]:
        """The data set to read items from."""

    @property
    @abstractmethod
    def are_complete(self) -> bool:
        """Whether no item has to be read any more."""

    @abstractmethod
    def _keys(self, index: int) -> Sequence[Hashable]:
        """The keys of an item's images; none where they are not known yet."""

    @abstractmethod
    def _split(self, indices: Sequence[int], read: Any) -> tuple[Tensor, list[Hashable | None]]:
        """All images of a batch that was read, and the key of each, None for one that is not to be kept."""

    @abstractmethod
    def _total(self) -> int:
        """How many images there are; a guess where that is not known yet."""

    def has(self, index: int) -> bool:
        """Whether all images of an item are kept."""
        keys = self._keys(index)
        return bool(keys) and all(key in self._rows for key in keys)

    def batch(self, indices: Sequence[int], *, missing: Sequence[int], read: Any) -> UInt8[Tensor, "B *item 3 S S"]:
        """Items on the device; those of the `missing` indices come from what was `read`, and are kept from now on."""
        if not missing:
            return self._get(indices)
        images, keys = self._split(missing, read)
        images = to_device(images, self._device)
        self._keep(images, keys)
        new = self._as_items(images)
        if len(missing) == len(indices):
            return new
        places = {index: place for place, index in enumerate(missing)}
        old = [index for index in indices if index not in places]
        places |= {index: len(missing) + place for place, index in enumerate(old)}
        order = torch.tensor([places[index] for index in indices])
        return torch.cat([new, self._get(old)]).index_select(0, to_device(order, self._device))

    def _get(self, indices: Sequence[int]) -> Tensor:
        assert self._images is not None
        rows = torch.tensor([self._rows[key] for index in indices for key in self._keys(index)])
        return self._as_items(self._images.index_select(0, to_device(rows, self._device)))

    def _keep(self, images: Tensor, keys: list[Hashable | None]) -> None:
        """Put images in the rows that follow, but for those that are there already."""
        if self._images is None:
            total, image_bytes = self._total(), images[0].numel()
            self._images = images.new_empty(total if total * image_bytes <= self._room_bytes else 0, *images.shape[1:])
        first, room = len(self._rows), len(self._images) - len(self._rows)
        places = {key: place for place, key in enumerate(keys) if key is not None and key not in self._rows}
        new = dict(list(places.items())[:room])
        if new:
            self._rows |= {key: first + number for number, key in enumerate(new)}
            chosen = to_device(torch.tensor(list(new.values())), self._device)
            self._images[first : first + len(new)] = images.index_select(0, chosen)

    def _as_items(self, images: Tensor) -> Tensor:
        return images if self.images_an_item == 1 else images.unflatten(0, (-1, self.images_an_item))


class KeptItems(KeptImages):
    """A data set's images, each under its index; those of several sets, which may come round again, under both."""

    def __init__(self, dataset: Dataset[Tensor], *, room_bytes: int, device: torch.device) -> None:
        super().__init__(room_bytes, device)
        self._dataset = dataset
        self._count = sum(dataset.lengths) if isinstance(dataset, Mixture) else len(dataset)  # type: ignore[arg-type]

    @property
    def reader(self) -> Dataset[Tensor]:
        """The data set itself."""
        return self._dataset

    @property
    def are_complete(self) -> bool:
        """Whether all images are kept."""
        return len(self._rows) == self._count

    def _keys(self, index: int) -> Sequence[Hashable]:
        return (self._dataset.place(index) if isinstance(self._dataset, Mixture) else index,)

    def _split(self, indices: Sequence[int], read: Tensor) -> tuple[Tensor, list[Hashable | None]]:
        return read, [self._keys(index)[0] for index in indices]

    def _total(self) -> int:
        return self._count


class KeptFrames(KeptImages):
    """The frames that are drawn from clips, each under its clip and its number.

    How many frames a clip has is learned when it is first drawn from. A draw in which others stand in for frames that
    cannot be read is read anew each time.
    """

    def __init__(self, draws: RandomFrames, *, room_bytes: int, device: torch.device) -> None:
        super().__init__(room_bytes, device)
        self._draws, self.images_an_item = draws, draws.frames
        self._lengths: dict[int, int] = {}

    @property
    def reader(self) -> Dataset[Draw]:
        """The draws, each with its clip."""
        return _Draws(self._draws)

    @property
    def are_complete(self) -> bool:
        """Whether all frames of all clips are kept."""
        return len(self._lengths) == len(self._draws.clips) and len(self._rows) == sum(self._lengths.values())

    def _keys(self, index: int) -> Sequence[Hashable]:
        clip = index % len(self._draws.clips)
        return self._keys_in(clip, index) if clip in self._lengths else ()

    def _keys_in(self, clip: int, index: int) -> Sequence[Hashable]:
        return [(clip, number) for number in self._draws.numbers(index, count=self._lengths[clip])]

    def _split(self, indices: Sequence[int], read: Draw) -> tuple[Tensor, list[Hashable | None]]:
        keys: list[Hashable | None] = []
        clips, lengths = torch.as_tensor(read.clip).tolist(), torch.as_tensor(read.clip_length).tolist()
        for index, clip, length in zip(indices, clips, lengths, strict=True):
            if length:
                self._lengths[clip] = length
            keys += self._keys_in(clip, index) if length else [None] * self.images_an_item
        return read.frames.flatten(0, 1), keys

    def _total(self) -> int:
        known, clips = len(self._lengths), len(self._draws.clips)
        frames = sum(self._lengths.values())
        return frames if known == clips else round(_SPARE * clips * frames / max(1, known))


class _Draws(Dataset[Draw]):
    """The draws of clips, each with its clip."""

    def __init__(self, draws: RandomFrames) -> None:
        self.draws = draws

    def __getitem__(self, index: int) -> Draw:
        return self.draws.draw(index)
