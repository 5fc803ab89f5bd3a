"""Animated WebP files, encoded by imageio from frames that are kept in memory."""

import io
from collections import deque
from pathlib import Path
from types import TracebackType

import imageio.v3 as iio
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from autolink_gen.common.files import UnfinishedFile
from autolink_gen.data.video.reader import Rate, VideoError
from autolink_gen.data.video.writer import MAX_HOLD_S, disk_errors

MAX_BYTES = 2**31  # of pixels, 3 each; the encoder's own copy takes 4
_MAX_SIDE = 16_383  # pixels
_QUALITY = 90
_MIN_HOLD_MS, _MAX_HOLD_MS = 11, 2**24 - 1  # browsers show what is to last 10 ms for 100; the format has 24 bits


class AnimatedImageWriter:
    """Writes frames, uint8 (H, W, 3) RGB, as a lossy WebP that repeats for ever.

    It has the interface of `VideoWriter`, and is used in a `with` block as well: the file takes its name when the block
    ends well; after an error nothing is left. Times are kept to a millisecond, counted from the first frame's. A frame
    less than 11 ms after the one before it is left out, and equal frames become one that is shown as long as both.

    The encoder takes all frames at once, so they stay in memory until the end: at most 2**31 bytes of pixels, 10,900
    frames of 256 x 256. Where `expected_frames` will be more, the first frame is refused. Raises ValueError for too
    many frames, another ending, a frame of another size, or a block that wrote no frame; VideoError for frames of more
    than 16,383 pixels a side.
    """

    def __init__(self, path: str | Path, *, fps: Rate, expected_frames: int = 0) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".webp":
            raise ValueError(f"cannot write {self.path}: the name must end in .webp")
        if not fps > 0:
            raise ValueError(f"fps is {fps}; it must be positive")
        self.fps = fps
        self.num_frames = 0
        self._expected_frames = expected_frames
        self._frames: deque[UInt8[ndarray, "H W 3"]] = deque()
        self._starts_ms: list[int] = []
        self._end_s = 0.0
        self._unfinished: UnfinishedFile | None = None

    def __enter__(self) -> "AnimatedImageWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._frames.clear()
            if self._unfinished is not None:
                self._unfinished.discard()

    def write(self, frame: UInt8[ndarray, "H W 3"], *, time_s: float | None = None) -> None:
        """Append a frame, shown from `time_s` seconds on, or 1 / fps after the last where none is given."""
        if self._unfinished is None:
            self._begin(frame)
        elif frame.shape != self._frames[0].shape:
            raise ValueError(
                f"frame {self.num_frames} of {self.path} has height and width {frame.shape[:2]}, the first "
                f"had {self._frames[0].shape[:2]}; bring all frames to one size"
            )
        start_ms = round(1000 * float(self.num_frames / self.fps if time_s is None else time_s))
        self.num_frames += 1
        if self._starts_ms and start_ms < self._starts_ms[-1] + _MIN_HOLD_MS:
            return
        self._check_room(frame, len(self._frames) + 1)
        self._frames.append(np.array(frame))  # a copy: the caller may paint the next one into the same memory
        self._starts_ms.append(start_ms)

    def end_at(self, time_s: float) -> None:
        """Show the last frame until `time_s` seconds, where that is after its own time; for 1 / fps else."""
        self._end_s = time_s

    def _begin(self, frame: ndarray) -> None:
        """Refuse what cannot be written before hours are spent on it."""
        if max(frame.shape[:2]) > _MAX_SIDE:
            raise VideoError(
                f"{self.path} cannot hold frames of height and width {frame.shape[:2]}: WebP takes {_MAX_SIDE} pixels "
                f"a side; give smaller ones"
            )
        self._check_room(frame, self._expected_frames)
        with disk_errors(self.path):
            self._unfinished = UnfinishedFile(self.path)
            self._unfinished.temporary.touch()

    def _check_room(self, frame: ndarray, count: int) -> None:
        if count * frame.nbytes > MAX_BYTES:
            height, width = frame.shape[:2]
            raise ValueError(
                f"{self.path} takes at most {MAX_BYTES // frame.nbytes:,} frames of {width} x {height} pixels "
                f"({MAX_BYTES:,} bytes): a WebP is kept in memory until its end; write an .mp4 instead"
            )

    def _finish(self) -> None:
        if self._unfinished is None:
            raise ValueError(f"no frame was written to {self.path}; give at least one")
        content = self._encoded()
        with disk_errors(self.path):
            self._unfinished.temporary.write_bytes(content)
            self._unfinished.keep()

    def _encoded(self) -> memoryview:
        content = io.BytesIO()
        options = {"is_batch": False, "duration": self._holds_ms(), "loop": 0, "quality": _QUALITY}
        with iio.imopen(content, "w", plugin="pillow", extension=".webp") as file:
            while self._frames:  # each one's memory is given back as the encoder takes it
                file.write(self._frames.popleft(), **options)
        return content.getbuffer()

    def _holds_ms(self) -> list[int]:
        """How long each frame is shown."""
        last_ms = min(1000 * self._end_s - self._starts_ms[-1], 1000 * MAX_HOLD_S)
        last_ms = last_ms if last_ms > 0 else float(1000 / self.fps)
        holds = [*np.diff(self._starts_ms).tolist(), round(last_ms)]
        return [min(max(hold, _MIN_HOLD_MS), _MAX_HOLD_MS) for hold in holds]
