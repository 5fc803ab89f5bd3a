"""The sound of one media file, laid under the frames of another while that is written."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import ArgumentError, FFmpegError, InvalidDataError

from autolink_gen.data.video import VideoError, media_reason, open_media
from autolink_gen.files import BadFileError, reading, reason_of
from autolink_gen.text import printable

logger = logging.getLogger(__name__)

# What each kind of file can hold as it is; other sound is encoded anew, as AAC, or as Opus in a .webm.
_COPIED = {
    "mp4": ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"),
    "mov": ("aac", "mp3", "ac3", "eac3", "alac"),
    "webm": ("opus", "vorbis"),
}
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
_AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
# What damaged sound raises, and no full disk: it must not cost the pictures.
_DAMAGE = (InvalidDataError, ArgumentError, OverflowError, ZeroDivisionError, TypeError)


class Sound:
    """Moves the first audio track of a file into an open output container, piece by piece.

    Packets are copied where the output can hold their codec, and encoded as AAC elsewhere. Times count from
    ``start_s`` in the source file, so that the sound stays in step with frames that are timed alike; what comes
    before is left out.
    """

    def __init__(self, source: Any, output: Any, *, start_s: float = 0.0) -> None:
        self._source = source
        self._track = source.streams.audio[0]
        self._start = Fraction(source.start_time or 0, av.time_base) + Fraction(start_s)
        self._is_cut = start_s > 0
        if self._is_cut:
            with suppress(FFmpegError):  # a file that cannot be sought in is read from its start
                source.seek(round(self._start * av.time_base))
        form = output.format.name
        self._copies = self._track.codec_context.name.removesuffix("float") in _COPIED.get(form, ())
        if self._copies:
            self._stream = output.add_stream_from_template(self._track)
        else:
            codec, rates = ("libopus", _OPUS_RATES) if form == "webm" else ("aac", _AAC_RATES)
            self._stream = output.add_stream(codec, rate=self._track.rate if self._track.rate in rates else 48_000)
            self._stream.layout = "mono" if self._track.channels == 1 else "stereo"
        self._output = output
        self._pieces = self._shifted()
        self._next = next(self._pieces, None)

    @classmethod
    def open(cls, path: Path, output: Any, *, start_s: float = 0.0) -> "Sound | None":
        """The sound of a file from a time on, or None where it has none; VideoError where the file cannot be read."""
        try:
            with reading(path, "sound", remedy="name another file"):
                source = open_media(path)
                if source.streams.audio and source.streams.audio[0].codec_context is not None:
                    return cls(source, output, start_s=start_s)
        except BadFileError as error:
            cause = error.__cause__ or error
            raise VideoError(
                f"cannot read the sound of {printable(str(path))}: {media_reason(cause)}; name another file"
            ) from cause
        source.close()
        return None

    def mux_until(self, time_s: float) -> None:
        """Write what begins before `time_s`."""
        while self._next is not None and self._next.pts * self._next.time_base < time_s:
            try:
                self._output.mux(self._next if self._copies else self._stream.encode(self._next))
                self._next = next(self._pieces, None)
            except _DAMAGE as error:
                logger.warning("the sound breaks off: %s", reason_of(error))
                self._next = None

    def finish(self) -> None:
        """Write what the encoder still holds; nothing more can follow."""
        if not self._copies:
            with suppress(*_DAMAGE):
                self._output.mux(self._stream.encode(None))

    def close(self) -> None:
        """Close the source file."""
        self._source.close()

    def _shifted(self) -> Iterator[Any]:
        """Packets (to copy) or frames (to encode) of the track, timed from the start of the file."""
        for piece in self._readable():
            if piece.pts is None:
                continue
            shift = round(self._start / piece.time_base)
            piece.pts -= shift
            if self._is_cut and piece.pts < 0:  # from the start, what comes before 0 primes the decoder
                continue
            if self._copies:
                piece.dts = piece.pts if piece.dts is None else piece.dts - shift
                piece.stream = self._stream
            yield piece

    def _readable(self) -> Iterator[Any]:
        """What can be read before the file ends or breaks off: damaged sound must not cost the pictures."""
        packets = self._source.demux(self._track)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                pieces = [packet] if self._copies else packet.decode()
            except FFmpegError:
                continue
            yield from pieces
