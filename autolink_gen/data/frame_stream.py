"""A video, a picture or a folder of frames, read as one stream of frames with their times."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from autolink_gen.data.folders import IMAGE_SUFFIXES, is_image, list_images, natural_key
from autolink_gen.data.images import ImageError, read_image, to_array
from autolink_gen.data.video import MAX_BAD_SHARE, VIDEO_SUFFIXES, Rate, TimedFrame, VideoError, VideoReader, is_video
from autolink_gen.files import expanded
from autolink_gen.text import printable

_FOLDER_FPS = Fraction(25)
_MAX_SPREAD_BYTES = 2**28


class FrameStream:
    """The frames of `path` from `start_s` to before `end_s`, times counted from `start_s`; can be iterated again.

    `fps`, the frames a second, is the video's own, or at most the one given; a folder has 25 unless given, in the
    order of the names, 2.png before 10.png, and a picture is one frame. `num_frames` is about how many come. Damaged
    frames are skipped and counted in `bad_frames`, up to a share of `max_bad_share`; a single picture must be whole.

    Raises:
        ValueError: no such file, none that is known here, nothing between the two times.
        VideoError: (a ValueError) a video that cannot be read, or that has, as a folder may, too many damaged frames.
        ImageError: (a ValueError) a picture that cannot be read.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        start_s: float = 0.0,
        end_s: float = math.inf,
        fps: Rate | None = None,
        max_bad_share: float = MAX_BAD_SHARE,
    ) -> None:
        self.path = expanded(path)
        if not self.path.exists():
            raise ValueError(f"{self.path} does not exist; check its name and folder")
        if not 0 <= start_s < end_s:
            raise ValueError(f"the start {start_s:g} s must be 0 or more and before the end {end_s:g} s")
        self.start_s, self.end_s, self.max_bad_share = start_s, end_s, max_bad_share
        self._reader = self._files = None
        if self.path.is_dir():
            self._files = sorted(list_images(self.path), key=natural_key)
            self.fps: Rate = fps or _FOLDER_FPS
            self.is_picture, length_s = False, len(self._files) / float(self.fps)
        elif is_image(self.path):
            self._files, self.fps = [self.path], fps or _FOLDER_FPS
            self.is_picture, length_s = True, math.inf
        elif is_video(self.path):
            self._reader = VideoReader(self.path, max_bad_share=max_bad_share)
            own = self._reader.fps
            self.fps = own if fps is None else min(own, fps)
            self.is_picture, length_s = False, (self._reader.num_frames or 0) / float(own) or math.inf
        else:
            raise ValueError(
                f"{self.path} is by its name neither a video ({', '.join(VIDEO_SUFFIXES)}) nor a picture "
                f"({', '.join(IMAGE_SUFFIXES)}); give one, or a folder of frames"
            )
        if start_s >= length_s:
            raise ValueError(f"{self.path} is {length_s:.2f} s long, and the start is at {start_s:g} s")
        span_s = min(end_s, length_s) - start_s
        self.num_frames = 1 if self.is_picture else round(span_s * float(self.fps)) if span_s < math.inf else 0
        self.bad_frames = 0

    @property
    def has_audio(self) -> bool:
        """Whether there is a sound track."""
        return self._reader is not None and self._reader.has_audio

    def __iter__(self) -> Iterator[TimedFrame]:
        if self._reader is not None:
            yield from self._video(self._reader)
            return
        yield from self._pictures(round(self.start_s * float(self.fps)))

    def _pictures(self, first: int) -> Iterator[TimedFrame]:
        assert self._files is not None
        self.bad_frames, good, problem = 0, 0, ""
        for number, file in enumerate(self._files[first:]):
            time_s = number / float(self.fps)
            if first / float(self.fps) + time_s >= self.end_s - 1e-3:
                break
            try:
                picture = read_image(file)
            except ImageError as error:
                if self.is_picture:
                    raise
                self.bad_frames, problem = self.bad_frames + 1, str(error)
                continue
            good += 1
            yield TimedFrame(number, time_s, to_array(picture))
        total = good + self.bad_frames
        if self.bad_frames > self.max_bad_share * total:
            raise VideoError(
                f"{self.bad_frames} of the {total} frames in {printable(str(self.path))} cannot be read, more "
                f"than the share {self.max_bad_share:g} that is allowed; the last: {problem}"
            )

    def spread(self, count: int) -> list[np.ndarray]:
        """At most `count` frames, evenly spread, found by seeking; at least one. ValueError where there is none.

        There are fewer where frames are so large that all would take more than 256 MiB.
        """
        first = next(self.spread_one_by_one(1))
        return list(self.spread_one_by_one(min(count, most_at_once(first))))

    def spread_one_by_one(self, count: int) -> Iterator[np.ndarray]:
        """The same, of which none is kept, however large they are."""
        wanted = [i * self.num_frames // count for i in range(min(count, self.num_frames))]
        found = False
        for number in wanted:
            frame = next(self._from(number / float(self.fps)), None)
            if frame is not None:
                found = True
                yield frame.pixels
        if not found:
            first = next(iter(self), None)
            if first is None:
                raise ValueError(
                    f"{self.path} has no frame from {self.start_s:g} s to {self.end_s:g} s; take a longer part"
                )
            yield first.pixels

    def _from(self, time_s: float) -> Iterator[TimedFrame]:
        """The frames from a time, counted from the start, on."""
        if self._reader is not None:
            return self._reader.timed(start_s=self.start_s + time_s, end_s=self.end_s)
        return self._pictures(round((self.start_s + time_s) * float(self.fps)))

    def _video(self, reader: VideoReader) -> Iterator[TimedFrame]:
        fps = None if self.fps == reader.fps else self.fps
        for number, frame in enumerate(reader.timed(fps=fps, start_s=self.start_s, end_s=self.end_s)):
            self.bad_frames = reader.bad_frames
            yield TimedFrame(number, frame.time_s - self.start_s, frame.pixels)
        self.bad_frames = reader.bad_frames


def most_at_once(frame: np.ndarray) -> int:
    """How many frames of this size may be in memory at a time: 256 MiB of them, at least one."""
    return max(1, _MAX_SPREAD_BYTES // max(1, frame.nbytes))
