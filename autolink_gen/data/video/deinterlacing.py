"""Deinterlacing, with FFmpeg's bwdif filter."""

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from av.error import BlockingIOError as NotYetError
from av.error import EOFError as EndError
from av.filter import Graph
from av.video.format import VideoFormat

from autolink_gen.data.video.limits import check_shown

_KEPT_FRAMES = 4  # by the filter: one before, one after, the frame and what becomes of it
_RGB_BYTES = 9
_WARNING = "is interlaced: each frame is made of its two fields, which lie 1/50 or 1/60 of a second apart"


def deinterlace(frames: Iterator[Any], *, codec: str, warn: Callable[[str], None]) -> Iterator[Any]:
    """The frames with their time stamps, interlaced ones deinterlaced.

    Looks one frame ahead from the first frame of two fields on. Raises TooLargeFramesError where the filter takes
    more memory than the limit allows.
    """
    weave: _Weave | None = None
    for frame in frames:
        if weave is None and not frame.interlaced_frame:
            yield frame
            continue
        form = frame.width, frame.height, frame.format.name
        if weave is None or weave.form != form:
            yield from weave.rest() if weave else ()
            num_pixels = frame.width * frame.height
            check_shown(frame, codec, num_pixels=num_pixels, bytes_a_pixel=_RGB_BYTES, more_frames=_KEPT_FRAMES)
            weave = _Weave(form)
            warn(_WARNING)
        yield from weave.after(frame)
    if weave:
        yield from weave.rest()


class _Weave:
    """The bwdif filter for frames of one size and format."""

    def __init__(self, form: tuple[int, int, str]) -> None:
        self.form = form
        self._times: deque[tuple[int | None, Fraction]] = deque()
        self._graph = Graph()
        width, height, name = form
        times, pixels = Fraction(1, 1000), VideoFormat(name, width, height)
        source = self._graph.add_buffer(width=width, height=height, format=pixels, time_base=times)
        filters = [self._graph.add("bwdif", "mode=send_frame:deint=interlaced"), self._graph.add("buffersink")]
        self._graph.link_nodes(source, *filters).configure()
        self._count = 0
        self._only: Any = None

    def after(self, frame: Any) -> Iterator[Any]:
        """Push a frame; yields the frames that are ready."""
        self._times.append((frame.pts, frame.time_base))
        # The filter reckons with time stamps, and those of a file may be damaged.
        frame.pts, frame.time_base = self._count, Fraction(1, 1000)
        self._count += 1
        self._only = frame if self._count == 1 else None
        self._graph.push(frame)
        return self._ready()

    def rest(self) -> Iterator[Any]:
        """Flush the filter after the last frame; yields what it still holds."""
        if self._only is not None:  # the filter leaves one that has no neighbour as it is
            self._only.pts = self._count
            self._graph.push(self._only)
            self._only = None
        self._graph.push(None)
        return self._ready()

    def _ready(self) -> Iterator[Any]:
        while self._times:
            try:
                frame = self._graph.pull()
            except (NotYetError, EndError):
                return
            frame.pts, frame.time_base = self._times.popleft()
            yield frame
