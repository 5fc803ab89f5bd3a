"""One stream of timed frames from a video, an image or a folder of frames."""

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from autolink_gen.common.files import expand_user
from autolink_gen.common.spread import evenly
from autolink_gen.common.text import printable
from autolink_gen.data.folders import IMAGE_SUFFIXES, is_image, list_images, natural_key
from autolink_gen.data.images import ImageError, read_image, to_array
from autolink_gen.data.video.animated_images import is_video_or_animation, open_video
from autolink_gen.data.video.base import MAX_BAD_SHARE, Rate, TimedFrame, Video, VideoError, falls_short
from autolink_gen.data.video.reader import VIDEO_SUFFIXES

_FOLDER_FPS = Fraction(25)
_MAX_SPREAD_BYTES = 2**28


class FrameStream:
    """The frames of `path` from `start_s` to before `end_s`, times counted from `start_s`; can be iterated again.

    `fps`, the frames a second, is the video's own, or at most the one given; a folder has 25 unless given, in the
    order of the names, 2.png before 10.png. An image is one frame, an animated one (WebP, PNG, GIF) a video.
    `num_frames` is about how many come, `length_s` how long they last, as far as the file says (infinite
    else), and `ends_s` until when the last one that came is shown. Damaged frames are skipped and counted in
    `bad_frames`, up to a share of `max_bad_share`; a single image must be undamaged.

    Raises:
        ValueError: no such file, none that is known here, nothing between the two times.
        VideoError: (a ValueError) a video that cannot be read, or that has, as a folder may, too many damaged frames.
        ImageError: (a ValueError) an image that cannot be read.
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
        self.path = expand_user(path)
        if not self.path.exists():
            raise ValueError(f"{self.path} does not exist; check its name and folder")
        if not 0 <= start_s < end_s:
            raise ValueError(f"the start {start_s:g} s must be 0 or more and before the end {end_s:g} s")
        self.start_s, self.end_s, self.max_bad_share = start_s, end_s, max_bad_share
        self._most_fps = fps
        self._reader: Video | None = None
        self._files: list[Path] | None = None
        self.is_image, length_s = False, math.inf
        if self.path.is_dir():
            self._files = sorted(list_images(self.path), key=natural_key)
            self.fps: Rate = fps or _FOLDER_FPS
            length_s = len(self._files) / float(self.fps)
        elif is_video_or_animation(self.path):
            self._reader = open_video(self.path, max_bad_share=max_bad_share)
            video_fps = self._reader.fps
            self.fps = video_fps if fps is None else min(video_fps, fps)
            length_s = self._reader.length_s or (self._reader.num_frames or 0) / float(video_fps) or math.inf
        elif is_image(self.path):
            self._files, self.fps = [self.path], fps or _FOLDER_FPS
            self.is_image = True
        else:
            raise ValueError(
                f"{self.path} is by its name neither a video ({', '.join(VIDEO_SUFFIXES)}) nor an image "
                f"({', '.join(IMAGE_SUFFIXES)}); give one, or a folder of frames"
            )
        if start_s >= length_s:
            raise ValueError(f"{self.path} is {length_s:.2f} s long, and the start is at {start_s:g} s")
        self.length_s = min(end_s, length_s) - start_s
        self.num_frames = 1 if self.is_image else self._count(is_whole=start_s == 0 and end_s >= length_s)
        self.bad_frames, self.ends_s = 0, 0.0

    def _count(self, *, is_whole: bool) -> int:
        """The approximate number of frames."""
        if self.length_s == math.inf:
            return 0
        by_length = round(self.length_s * float(self.fps))
        num_frames = self._reader.num_frames if self._reader is not None and self.fps == self._reader.fps else None
        return num_frames if num_frames and is_whole else by_length

    @property
    def has_audio(self) -> bool:
        """Whether there is an audio track."""
        return self._reader is not None and self._reader.has_audio

    @property
    def ends_early(self) -> bool:
        """Whether the frames end well before the length that the file promises.

        It is judged by time, for frames may be left out. Damaged frames, which are reported elsewhere, count as shown.
        """
        seen_s = self.ends_s + self.bad_frames / float(self.fps)
        return self._reader is not None and falls_short(seen_s, self.length_s)

    def __iter__(self) -> Iterator[TimedFrame]:
        if self._reader is not None:
            yield from self._video(self._reader)
            return
        yield from self._images(round(self.start_s * float(self.fps)))

    def _images(self, first: int) -> Iterator[TimedFrame]:
        assert self._files is not None
        self.bad_frames, good, problem = 0, 0, ""
        for number, file in enumerate(self._files[first:]):
            time_s = number / float(self.fps)
            if first / float(self.fps) + time_s >= self.end_s - 1e-3:
                break
            try:
                image = read_image(file)
            except ImageError as error:
                if self.is_image:
                    raise
                self.bad_frames, problem = self.bad_frames + 1, str(error)
                continue
            good += 1
            yield TimedFrame(number, time_s, to_array(image))
        total = good + self.bad_frames
        if self.bad_frames > self.max_bad_share * total:
            raise VideoError(
                f"{self.bad_frames} of the {total} frames in {printable(str(self.path))} cannot be read, more "
                f"than the share {self.max_bad_share:g} that is allowed; the last: {problem}"
            )

    def spread(self, count: int) -> list[np.ndarray]:
        """At most `count` evenly spread frames, found by seeking; ValueError where there is none.

        There are fewer where frames are so large that all would take more than 256 MiB.
        """
        first = next(self.spread_one_by_one(1))
        return list(self.spread_one_by_one(min(count, most_at_once(first))))

    def spread_one_by_one(self, count: int) -> Iterator[np.ndarray]:
        """Like `spread`, but one frame at a time, however large: at most `spread_count` frames.

        The video is decoded once at most.
        """
        return (frame.pixels for frame in self.timed_spread(count))

    def timed_spread(self, count: int) -> Iterator[TimedFrame]:
        """Like `spread_one_by_one`, with the times."""
        has_frame = False
        for frame in self._at(evenly(self.num_frames, count)):
            has_frame = True
            yield frame
        if not has_frame:
            first = next(iter(self), None)
            if first is None:
                raise ValueError(
                    f"{self.path} has no frame from {self.start_s:g} s to {self.end_s:g} s; take a longer part"
                )
            yield first

    def spread_count(self, count: int) -> int:
        """The number of frames that `spread` gives, at most `count`; for a progress bar."""
        return min(count, self.num_frames)

    def _at(self, numbers: Sequence[int]) -> Iterator[TimedFrame]:
        """The frames of rising numbers, counted from the start; those that cannot be read are left out."""
        if self._reader is not None:
            times_s = [self.start_s + number * self._step_s for number in numbers]
            for frame in self._reader.at(times_s):
                if frame.time_s < self.end_s - 1e-3:
                    yield frame
            return
        start = round(self.start_s * float(self.fps))
        for number in numbers:
            yield from islice(self._images(start + number), 1)

    @property
    def _step_s(self) -> float:
        """Seconds between evenly spread frames: 1 / fps, unless that rate counts frames that a trimmed video hides."""
        step_s = 1 / float(self.fps)
        is_even = abs(self.length_s - self.num_frames * step_s) < step_s or self.length_s == math.inf
        return step_s if is_even else self.length_s / self.num_frames

    def _video(self, reader: Video) -> Iterator[TimedFrame]:
        # The rate asked for, not the mean rate: a video of uneven rate may have more for a while.
        for number, frame in enumerate(reader.timed_frames(fps=self._most_fps, start_s=self.start_s, end_s=self.end_s)):
            self.bad_frames, self.ends_s = reader.bad_frames, reader.ends_s - self.start_s
            yield TimedFrame(number, frame.time_s - self.start_s, frame.pixels, frame.hold_s)
        self.bad_frames, self.ends_s = reader.bad_frames, reader.ends_s - self.start_s


def most_at_once(frame: np.ndarray) -> int:
    """The number of frames of this size that fit in 256 MiB; at least one."""
    return max(1, _MAX_SPREAD_BYTES // max(1, frame.nbytes))
