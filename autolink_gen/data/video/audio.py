"""Audio of one media file, copied into a video that is being written."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
from av.error import ArgumentError, FFmpegError, InvalidDataError

from autolink_gen.common.files import BadFileError, reading
from autolink_gen.common.text import printable
from autolink_gen.data.video.media_files import audio_track, media_reason, open_media, video_track
from autolink_gen.data.video.reader import VideoError
from autolink_gen.data.video.times import RisingClock, may_be_joined, packet_time, rate_of, start_of, survey

logger = logging.getLogger(__name__)

# What each kind of file can hold as it is; other audio is encoded anew, as AAC, or as Opus in a .webm.
_COPIED = {
    "mp4": ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"),
    "mov": ("aac", "mp3", "ac3", "eac3", "alac"),
    "webm": ("opus", "vorbis"),
}
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
_AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
# What damaged audio raises; a full disk raises none of these. Damaged audio must not cost the frames.
_DAMAGE = (InvalidDataError, ArgumentError, OverflowError, ZeroDivisionError, TypeError)
_REFUSALS = (FFmpegError, ValueError, LookupError, MemoryError, NotImplementedError, *_DAMAGE)  # of a rehearsal
_REHEARSED_S = 1.0
_USUAL_PIECE_S = 0.02
_SAME_JOINT_S = 1.0  # so much may the tracks of one part differ in length


class UnfitAudioError(ValueError):
    """Audio that an encoder does not take."""


class AudioCopier:
    """Copies the audio of a file into an open output container, piece by piece; `open` makes one.

    Packets are copied where the output can hold their codec, and encoded as AAC elsewhere. Times count from
    ``start_s`` in the source file, so that the audio stays in step with frames that are timed alike; what comes
    before is left out. Where the times of the file begin anew, audio and frames go on alike.
    """

    def __init__(self, source: Any, output: Any, *, copies: bool, start_s: float = 0.0, can_seek: bool = True) -> None:
        self._source, self._output, self._copies = source, output, copies
        track: Any = audio_track(source)
        self._track = track
        self._start = start_of(source, track) + Fraction(start_s)
        self._is_cut = start_s > 0
        if self._is_cut and can_seek:
            with suppress(FFmpegError):  # a file that cannot be sought in is read from its start
                source.seek(round(self._start * av.time_base))
        self._stream: Any
        if copies:
            self._stream = output.add_stream_from_template(track)
        else:
            codec, rates = ("libopus", _OPUS_RATES) if output.format.name == "webm" else ("aac", _AAC_RATES)
            rate = track.rate if track.rate in rates else 48_000
            self._stream = output.add_stream(codec, rate=rate)
            self._stream.layout = "mono" if track.channels == 1 else "stereo"
        self._pieces = self._shift_times()
        self._next = next(self._pieces, None)

    @classmethod
    def open(cls, path: Path, output: Any, *, start_s: float = 0.0) -> "AudioCopier | None":
        """The audio of a file from a time on; None where there is none, or none that can be copied, which is logged.

        Raises VideoError where the file itself cannot be read.
        """
        try:
            with reading(path, "audio", remedy="name another file"), open_media(path) as source:
                track = audio_track(source)
                codec = None if track is None else track.codec_context
                can_seek = not (start_s > 0 and may_be_joined(source)) or _rises(source)
        except BadFileError as error:
            cause = error.__cause__ or error
            raise VideoError(
                f"cannot read the audio of {printable(str(path))}: {media_reason(cause)}; name another file"
            ) from cause
        if track is None:
            return None
        reason = "how it is compressed is not known here"
        if codec is not None:
            form = output.format.name
            can_copy = codec.name.removesuffix("float") in _COPIED.get(form, ())
            for copies in (True, False) if can_copy else (False,):
                reason = _rehearse(path, form, copies=copies, start_s=start_s, can_seek=can_seek)
                if not reason:
                    return cls(open_media(path), output, copies=copies, start_s=start_s, can_seek=can_seek)
        logger.warning("%s: its audio cannot be copied, the result is silent: %s", printable(str(path)), reason)
        return None

    @property
    def next_s(self) -> float | None:
        """The start of the next piece of audio, in seconds; None after the last."""
        return None if self._next is None else float(self._next.pts * self._next.time_base)

    def mux_until(self, time_s: float) -> None:
        """Write the audio that begins before `time_s`; damaged audio ends early, which is logged."""
        try:
            self.mux_whole(time_s)
        except (UnfitAudioError, *_DAMAGE) as error:
            logger.warning("the audio breaks off: %s", media_reason(error))
            self._next = None

    def mux_whole(self, time_s: float) -> None:
        """Like `mux_until`, but raises UnfitAudioError for what no encoder takes, and FFmpeg's errors."""
        while self.next_s is not None and self.next_s < time_s:
            try:
                packets = self._next if self._copies else self._stream.encode(self._next)
            except _REFUSALS as error:
                raise UnfitAudioError(media_reason(error)) from error
            self._output.mux(packets)
            self._next = next(self._pieces, None)

    def finish(self) -> None:
        """Write what the encoder still holds; nothing more can follow."""
        if not self._copies:
            with suppress(*_DAMAGE):
                self._output.mux(self._stream.encode(None))

    def close(self) -> None:
        """Close the source file."""
        self._source.close()

    def _shift_times(self) -> Iterator[Any]:
        """Packets (to copy) or frames (to encode) of the track, timed from the start of the file, rising."""
        last = None
        for piece, offset_s in self._read_pieces():
            if piece.pts is None:
                continue
            shift = round((self._start - Fraction(offset_s)) / piece.time_base)
            piece.pts -= shift
            if self._is_cut and piece.pts < 0:  # from the start, what comes before 0 primes the decoder
                continue
            if self._copies:
                piece.dts = piece.pts if piece.dts is None else piece.dts - shift
                piece.stream = self._stream
            order = (piece.dts if self._copies else piece.pts) * piece.time_base
            if last is None or order > last:
                last = order
                yield piece

    def _read_pieces(self) -> Iterator[tuple[Any, float]]:
        """The readable pieces up to the end or the damage, each with the offset in seconds of its part.

        Damaged audio must not cost the frames.
        """
        joints = _Joints(self._source, self._track)
        packets = self._source.demux(*joints.tracks)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                offset_s = joints.offset_s(packet)
                if packet.stream.index != self._track.index:
                    continue
                pieces = [packet] if self._copies else packet.decode()
            except _REFUSALS:
                continue
            yield from ((piece, offset_s) for piece in pieces)


class _Joints:
    """The places where the times of a file begin anew; audio is offset by as much as the frames are.

    Tracks of a part differ in length, so that the audio alone would drift from the frames with every part.
    """

    def __init__(self, source: Any, track: Any) -> None:
        video = video_track(source) if may_be_joined(source) else None
        self.tracks = [track] if video is None else [video, track]
        steps = {track.index: _USUAL_PIECE_S}
        if video is not None:
            steps[video.index] = float(1 / rate_of(video))
        leaps, self._start_s = may_be_joined(source), float(start_of(source, track))
        self._clocks = {index: RisingClock(step_s, from_s=0.0, leaps=leaps) for index, step_s in steps.items()}
        self._audio = self._clocks[track.index]
        self._video = None if video is None else self._clocks[video.index]

    def offset_s(self, packet: Any) -> float:
        """The seconds to add to the times of the audio, once this packet of either track has been read."""
        time_s = packet_time(packet)
        if packet.size and time_s is not None:
            self._clocks[packet.stream.index](time_s - self._start_s)
        video, audio = self._video, self._audio
        if video is not None and video.joints == audio.joints and abs(video.offset_s - audio.offset_s) < _SAME_JOINT_S:
            audio.offset_s = video.offset_s
        return audio.offset_s


def _rises(source: Any) -> bool:
    return survey(source, video_track(source) or audio_track(source)).rises


def _rehearse(path: Path, form: str, *, copies: bool, start_s: float, can_seek: bool) -> str:
    """Why the first second of a file's audio cannot be copied into such a file; empty where it can.

    A stream that was added to a file cannot be taken out of it: it is tried in one that is thrown away.
    """
    try:
        with open_media(path) as source, av.open(BytesIO(), "w", format=form) as output:
            copier = AudioCopier(source, output, copies=copies, start_s=start_s, can_seek=can_seek)
            if copier.next_s is None:
                return f"none of it can be read from {start_s:g} s on"
            copier.mux_whole(copier.next_s + _REHEARSED_S)
            copier.finish()
    except _REFUSALS as error:
        return media_reason(error)
    return ""
