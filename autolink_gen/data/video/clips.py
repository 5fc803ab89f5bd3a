"""Clips, read a few frames at a time: videos, folders of frames, embedded puppets."""

import logging
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from autolink_gen.common.text import printable
from autolink_gen.data.folders import IMAGE_SUFFIXES, check_folder, is_image, kinds_of, natural_key, walk_files
from autolink_gen.data.images import read_image
from autolink_gen.data.puppets.dataset import Split, puppet_clip
from autolink_gen.data.video.reader import VIDEO_SUFFIXES, VideoReader, is_video

logger = logging.getLogger(__name__)

PUPPET_FRAMES = 100
_MIN_FRAMES = 2
_SKIP = 250  # frames: over a gap larger than an encoder's usual distance of keyframes one seeks

NumberedFrame = tuple[int, UInt8[ndarray, "H W 3"]]


@runtime_checkable
class Clip(Protocol):
    """A sequence of RGB frames, numbered from 0."""

    @property
    def name(self) -> str:
        """Its name in messages."""

    def count(self) -> int:
        """The number of frames, as its header says; ValueError where it cannot be read."""

    def read(self, numbers: Sequence[int], *, min_side: int) -> Iterator[NumberedFrame]:
        """The frames of these rising numbers; frames decoded on the way may come too.

        Frames larger than twice `min_side` pixels may be reduced to that. Frames that are not there are left out.
        Raises ValueError where the clip cannot be read.
        """


class VideoClip:
    """A video file; a frame's number is its time in units of 1 / fps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._has_warned = False

    @property
    def name(self) -> str:
        """The file."""
        return printable(str(self.path))

    @cached_property
    def _reader(self) -> VideoReader:
        return VideoReader(self.path)

    def count(self) -> int:
        """The number of frames that the file promises."""
        return self._reader.estimated_frames or 1

    def read(self, numbers: Sequence[int], *, min_side: int) -> Iterator[NumberedFrame]:
        """All frames from the keyframe before the first number up to the last number, but for large gaps."""
        fps = float(self._reader.fps)
        last, frames, ends_s = -1, None, 0.0
        for number in numbers:
            if frames is None or number > last + _SKIP:
                beyond_s = None if frames is None else last / fps
                nearer = self._reader.from_keyframe(number / fps, beyond_s=beyond_s)
                first = next(nearer, None)
                frames = (frames or nearer) if first is None else chain([first], nearer)
            while last < number and (frame := next(frames, None)) is not None:
                ends_s = max(ends_s, frame.time_s + frame.hold_s)
                if round(frame.time_s * fps) > last:
                    last = round(frame.time_s * fps)
                    yield last, frame.pixels
            if last < number and number / fps > ends_s:
                self._warn_of_end(ends_s)

    def _warn_of_end(self, ends_s: float) -> None:
        """Warn, once, that the file ends before the length it promises."""
        if not self._has_warned:
            self._has_warned = True
            promised_s = self.count() / float(self._reader.fps)
            logger.warning("%s ends at %.2f s of the %.2f s it promises: its last frames stand in for the rest",
                           self.name, ends_s, promised_s)  # fmt: skip


class FrameFolder:
    """A folder of images, the frames of one clip in natural order: 2.png before 10.png."""

    def __init__(self, folder: Path, files: Sequence[Path]) -> None:
        self.folder, self.files = folder, list(files)
        self._bad: set[int] = set()

    @property
    def name(self) -> str:
        """The folder."""
        return printable(str(self.folder))

    def count(self) -> int:
        """The number of images."""
        return len(self.files)

    def read(self, numbers: Sequence[int], *, min_side: int) -> Iterator[NumberedFrame]:
        """The images of these numbers; the nearest readable one replaces one that cannot be read."""
        for number in numbers:
            readable = ((nearby, self._pixels(nearby, min_side=min_side)) for nearby in self._nearest_first(number))
            frame = next(((nearby, pixels) for nearby, pixels in readable if pixels is not None), None)
            if frame is not None:
                yield frame

    def _nearest_first(self, number: int) -> Iterator[int]:
        yield number
        for distance in range(1, len(self.files)):
            yield from (near for near in (number - distance, number + distance) if 0 <= near < len(self.files))

    def _pixels(self, number: int, *, min_side: int) -> np.ndarray | None:
        """An image's pixels; None where it cannot be read, which is logged once."""
        if number in self._bad:
            return None
        try:
            return np.asarray(read_image(self.files[number], min_side=min_side))
        except ValueError as error:
            self._bad.add(number)
            logger.warning("%s; the nearest frame stands in", error)
            return None


class PuppetClip:
    """A clip of an embedded puppet; see `puppet_clip`."""

    def __init__(self, index: int, *, seed: int, size: int, split: Split) -> None:
        self.index, self.seed, self.size, self.split = index, seed, size, split

    @property
    def name(self) -> str:
        """The puppet's number."""
        return f"puppet {self.index}"

    def count(self) -> int:
        """100 frames."""
        return PUPPET_FRAMES

    def read(self, numbers: Sequence[int], *, min_side: int) -> Iterator[NumberedFrame]:
        """The frames of these numbers."""
        frames, _ = puppet_clip(
            self.seed, self.index, num_frames=PUPPET_FRAMES, size=self.size, split=self.split, only=numbers
        )
        yield from zip(numbers, frames, strict=True)


def list_clips(folder: str | Path) -> list[Clip]:
    """The clips below a folder, at any depth, sorted by path: videos, and folders of two images or more.

    Raises:
        ValueError: the folder is missing, is a file, or holds no clip.
    """
    folder = check_folder(folder)
    files = list(walk_files(folder))
    images: dict[Path, list[Path]] = {}
    for path in sorted(filter(is_image, files), key=natural_key):
        images.setdefault(path.parent, []).append(path)
    clips: dict[Path, Clip] = {path: VideoClip(path) for path in files if is_video(path)}
    clips |= {parent: FrameFolder(parent, inside) for parent, inside in images.items() if len(inside) >= _MIN_FRAMES}
    if not clips:
        raise ValueError(_no_clips(folder, files))
    return [clips[path] for path in sorted(clips)]  # as ever: it decides what runs draw, and has no other meaning


def _no_clips(folder: Path, files: list[Path]) -> str:
    return (
        f"no clips in {folder}: looked at any depth for videos ({', '.join(VIDEO_SUFFIXES)}) and for folders of "
        f"{_MIN_FRAMES} or more frames ({', '.join(IMAGE_SUFFIXES)}), and found {kinds_of(files)}; "
        f"give another folder"
    )
