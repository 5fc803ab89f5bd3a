"""The transparency of VP8 and VP9 in WebM: a second video beside the packets, which FFmpeg ignores."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import av
from av.error import FFmpegError

from autolink_gen.data.video.limits import limit_context

_SIDE_DATA = "matroska_block_additional"
_ID_BYTES, _ALPHA_ID = 8, 1
_MOST_WAITING = 20  # with a thread for each frame, the colours' decoder gives them so much later
HIDDEN_FRAMES = 10 + _MOST_WAITING  # that are in memory beside those of the colours


class HiddenAlpha:
    """The transparency of one opened stream, frame by frame."""

    def __init__(self, stream: Any) -> None:
        context = stream.codec_context
        self._decoder = av.CodecContext.create(context.name, "r")
        self._decoder.width, self._decoder.height = context.width, context.height
        limit_context(self._decoder)
        # By itself: threads would keep more frames, and closing a decoder whose threads log can wait for ever.
        self._decoder.thread_count = 1
        self._waiting: dict[int, Any] = {}

    def collect_alpha(self, packets: Iterable[Any]) -> Iterator[Any]:
        """The packets, passed on; their transparency is decoded on the way."""
        for packet in packets:
            self._decode(packet)
            yield packet

    def alpha_for(self, frame: Any) -> Any:
        """The frame whose grey is the opacity of `frame`; None where there is none."""
        alpha = self._waiting.get(frame.pts)
        self._waiting = {pts: waiting for pts, waiting in self._waiting.items() if pts > (frame.pts or 0)}
        return alpha

    def _decode(self, packet: Any) -> None:
        if packet.pts is None or not packet.has_sidedata(_SIDE_DATA):
            return
        content = bytes(packet.get_sidedata(_SIDE_DATA))
        if int.from_bytes(content[:_ID_BYTES], "big") != _ALPHA_ID:
            return
        alpha = av.Packet(content[_ID_BYTES:])
        alpha.pts, alpha.time_base = packet.pts, packet.time_base
        with suppress(FFmpegError):  # what is damaged is shown as opaque
            for frame in self._decoder.decode(alpha):
                while len(self._waiting) >= _MOST_WAITING:
                    del self._waiting[min(self._waiting)]
                self._waiting[packet.pts] = frame


def hidden_alpha(stream: Any) -> HiddenAlpha | None:
    """The transparency of a stream that has it beside its packets; else None."""
    is_kept = stream.metadata.get("alpha_mode") == "1" and stream.codec_context.name in ("vp8", "vp9")
    return HiddenAlpha(stream) if is_kept and hasattr(av.Packet, "has_sidedata") else None
