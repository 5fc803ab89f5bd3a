"""Images kept in memory once decoded, and a folder of them."""

import logging
import mmap
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from autolink_gen.common.files import expand_user
from autolink_gen.common.text import printable, typed
from autolink_gen.common.tolerance import MAX_BAD_SHARE, Tolerance
from autolink_gen.data.folders import split_images
from autolink_gen.data.images import CACHE_BYTES, FIT, ImageError, check_fit, fit_square, read_image
from autolink_gen.data.listing import image_listing

logger = logging.getLogger(__name__)

_UNSEEN, _CACHED, _BAD = 0, 1, 2


class CachedImages(Dataset[Tensor], ABC):
    """Images that can be read by number, as uint8 tensors (3, image_size, image_size), RGB.

    Decoded images are kept in memory, up to `cache_bytes` bytes; forked loader workers share that memory. An
    image that cannot be read is logged once and replaced by the next readable one. A subclass says how one is
    read and what it is called.

    Raises:
        ValueError: an argument is out of range.
        ValueError: when read, if more than `max_bad_share` of the images (and more than one) are unreadable.
    """

    def __init__(
        self,
        count: int,
        *,
        image_size: int,
        fit: FIT = "crop",
        cache_bytes: int = CACHE_BYTES,
        max_bad_share: float = MAX_BAD_SHARE,
    ) -> None:
        check_fit(fit)
        if image_size < 1:
            raise ValueError(f"image_size is {image_size}; it must be at least 1 pixel")
        self.count = count
        self.image_size = image_size
        self.fit: FIT = fit
        self.cache_bytes = cache_bytes
        self.max_bad_share = max_bad_share
        self._make_memory(cache_bytes)

    @abstractmethod
    def _decode(self, index: int) -> Image.Image:
        """The image in RGB, its sides at least `image_size` pixels where the stored ones are; else ImageError."""

    @abstractmethod
    def name_of(self, index: int) -> str:
        """An image's name in messages."""

    @abstractmethod
    def _where_and_remedy(self) -> tuple[str, str]:
        """The place of the images, and the remedy where many are unreadable."""

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> UInt8[Tensor, "3 S S"]:
        count = self.count
        if not -count <= index < count:
            raise IndexError(f"image {index} of {count}")
        if self._cached is None:  # unpickled in a spawned worker
            worker = get_worker_info()
            self._make_memory(self.cache_bytes // (worker.num_workers if worker else 1))
        for offset in range(count):
            image = self._read((index + offset) % count)
            if image is not None:
                return torch.from_numpy(image)
        raise ValueError(self._tolerance().message())

    @property
    def bad_indices(self) -> list[int]:
        """The images found unreadable so far, here or in a forked worker."""
        return [] if self._cached is None else np.flatnonzero(self._state == _BAD).tolist()

    def _read(self, index: int) -> np.ndarray | None:
        """The decoded image (3, S, S), the caller's own copy, or None where it is bad."""
        if self._state[index] == _CACHED:
            return self._cached[index].copy()
        if self._state[index] == _BAD:
            return None
        try:
            image = self._decode(index)
        except ImageError as error:
            self._count_bad(index, error)
            return None
        square = np.asarray(fit_square(image, size=self.image_size, fit=self.fit))
        pixels = np.ascontiguousarray(square.transpose(2, 0, 1))
        if index < len(self._cached):
            self._cached[index] = pixels
            self._state[index] = _CACHED
            return self._cached[index].copy()
        return pixels

    def _count_bad(self, index: int, error: ImageError) -> None:
        self._state[index] = _BAD
        self._tolerance().check(error)
        logger.warning("%s; the next readable image takes its place", error)

    def _tolerance(self) -> Tolerance:
        """The unreadable images so far, counted in memory that forked workers share."""
        bad, (where, remedy) = self.bad_indices, self._where_and_remedy()
        names = [self.name_of(index) for index in bad[:5]]
        return Tolerance(self.count, self.max_bad_share, f"images in {where}", remedy, len(bad), names)

    def _make_memory(self, cache_bytes: int) -> None:
        """Reserve the cache; pages take memory once written, and forked workers write into the same ones."""
        shape = 3, self.image_size, self.image_size
        room = min(self.count, cache_bytes // int(np.prod(shape)))
        self._state = _shared_zeros((self.count,))
        self._cached = _shared_zeros((room, *shape))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_state": None, "_cached": None}


class ImageFolder(CachedImages):
    """The images below a folder; `paths` holds the files in the order of the indices, `found` what lies beside them.

    Raises:
        ValueError: the folder is missing or holds no image, and as `CachedImages` does.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        image_size: int,
        fit: FIT = "crop",
        cache_bytes: int = CACHE_BYTES,
        max_bad_share: float = MAX_BAD_SHARE,
    ) -> None:
        self.folder = expand_user(folder)
        self.paths, others = split_images(self.folder)
        self.listing = image_listing(self.folder, len(self.paths), others)
        super().__init__(
            len(self.paths), image_size=image_size, fit=fit, cache_bytes=cache_bytes, max_bad_share=max_bad_share
        )

    def _decode(self, index: int) -> Image.Image:
        return read_image(self.paths[index], min_side=self.image_size)

    def name_of(self, index: int) -> str:
        """The file."""
        return printable(str(self.paths[index]))

    def _where_and_remedy(self) -> tuple[str, str]:
        check = f"`autolink-gen data check {typed(self.folder)}` lists them with the reasons: remove or replace them"
        return printable(str(self.folder)), check


def _shared_zeros(shape: tuple[int, ...]) -> np.ndarray:
    count = int(np.prod(shape))
    if count == 0:
        return np.zeros(shape, np.uint8)
    return np.frombuffer(mmap.mmap(-1, count), np.uint8).reshape(shape)
