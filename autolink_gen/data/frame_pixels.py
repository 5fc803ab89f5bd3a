"""What a decoded frame looks like on a player's screen: RGB, upright."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter
from numpy import ndarray


class Display:
    """How the frames of one opened video stream are shown; `path` is named in messages."""

    def __init__(self, stream: Any, path: Path) -> None:
        self._stream, self._path = stream, path
        self._converter = VideoReformatter()  # kept: making one takes twenty times a small frame's conversion

    def shown(self, frames: Iterator[Any]) -> Iterator[Any]:
        """The decoded frames, one for each with its time stamp, as `pixels` takes them."""
        return frames

    def pixels(self, frame: Any) -> ndarray:
        """A frame as uint8 (H, W, 3) RGB, turned as the file says (telephones store upright films lying down)."""
        pixels = self._converter.reformat(frame, format="rgb24").to_ndarray()
        return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
