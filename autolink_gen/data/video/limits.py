"""Limits for untrusted videos: kinds of file, numbers of samples, sizes of frames."""

import os
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from autolink_gen.common.limits import max_pixels

# FFmpeg guesses what a file is from its content, and some kinds, playlists say, open other files and addresses.
_FORMATS = {
    b"\x1a\x45\xdf\xa3": ("matroska", "webm"),
    b"RIFF": ("avi", "wav"),
    b"GIF8": ("gif",),
    b"FLV": ("flv",),
    b"\x30\x26\xb2\x75": ("asf",),
    b"\0\0\x01\xba": ("mpeg", "mpegvideo"),
    b"\0\0\x01\xb3": ("mpeg", "mpegvideo"),
    b"OggS": ("ogg",),
}
_OTHER_FORMATS = (
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "mpeg", "mpegts", "mpegvideo", "m4v", "h264", "hevc",
    "w64", "aiff", "mp3", "flac", "aac", "ac3", "eac3", "amr", "au", "caf",
)  # fmt: skip
_BYTES_A_PIXEL = 10  # of memory that a decoder's frames and the image may take for each of the pixels allowed
_RGB_BYTES = 9  # of the frame in RGB, of the array and of the array turned upright
_LEAST_BYTES = 1.5  # a pixel of yuv420p
_MOST_BYTES = 8.0
_KEPT_FRAMES = {"h264": 17, "hevc": 17, "vvc": 17, "vp9": 10, "av1": 10, "libdav1d": 10}
_USUALLY_KEPT = 4
_MAX_THREADS = 16
_MAX_SAMPLES = 4_000_000  # of an MP4: FFmpeg keeps some 70 bytes for each, whether they are there or not
_MAX_BOXES = 100_000
_BLOCK_BYTES = 2**20
_PASSED_OVER = (b"mdat",)  # not free space: FFmpeg looks for an index there where it finds none elsewhere
_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")
_TABLES = (b"stco", b"co64", b"stts", b"ctts", b"stss", b"stsc")  # of numbers, which may look like anything
_SAMPLES = re.compile(rb"(stsz|stz2|trun|cmov(?=.{4}dcom))", re.DOTALL)


def opening_options(path: Path) -> dict[str, str]:
    """FFmpeg's options for opening a file: the kinds allowed, no network, the largest frame.

    Raises ValueError for an MP4 or MOV that promises more samples than there is memory for.
    """
    with path.open("rb") as file:
        return file_options(file, path.stat().st_size)


def file_options(file: BinaryIO | BytesIO, size: int) -> dict[str, str]:
    """The options of `opening_options` for an open file of `size` bytes."""
    file.seek(0)
    head = file.read(16)
    formats = next((kinds for magic, kinds in _FORMATS.items() if head.startswith(magic)), None)
    if formats is None:
        _check_boxes(file, size)
    return {
        "format_whitelist": ",".join(formats or _OTHER_FORMATS),
        "protocol_whitelist": "file",
        "max_pixels": str(_frame_pixels(_LEAST_BYTES, _USUALLY_KEPT)),
    }


def limit_decoder(stream: Any) -> None:
    """Bound the memory of a stream's decoder: its largest frame and its threads.

    ValueError where a frame is too large.
    """
    context = stream.codec_context
    limit_context(context)
    # With a thread for each frame, each holds a frame more.
    num_threads = min(os.cpu_count() or 1, _MAX_THREADS)
    num_frames = _KEPT_FRAMES.get(context.name, _USUALLY_KEPT) + num_threads
    is_small = context.width * context.height <= _frame_pixels(_bytes_a_pixel(context.format), num_frames)
    stream.thread_type = "AUTO" if is_small else "SLICE"


def limit_context(context: Any) -> None:
    """Set the size of the largest frame of a decoder; ValueError where its frames are larger."""
    limit = _frame_pixels(_bytes_a_pixel(context.format), _KEPT_FRAMES.get(context.name, _USUALLY_KEPT))
    check_frame_size(context.width, context.height, limit=limit)
    context.options = {**context.options, "max_pixels": str(limit)}


def check_frame(frame: Any, codec: str) -> None:
    """ValueError for a frame above its format's limit; frames of a video may change in size."""
    limit = _frame_pixels(_bytes_a_pixel(frame.format), _KEPT_FRAMES.get(codec, _USUALLY_KEPT))
    check_frame_size(frame.width, frame.height, limit=limit)


def check_shown(frame: Any, codec: str, *, num_pixels: int, bytes_a_pixel: int, more_frames: int = 0) -> None:
    """ValueError where a frame, its `num_pixels` for display and `more_frames` further ones take too much memory."""
    num_frames = _KEPT_FRAMES.get(codec, _USUALLY_KEPT) + more_frames
    num_bytes = frame.width * frame.height * num_frames * _bytes_a_pixel(frame.format) + num_pixels * bytes_a_pixel
    if num_bytes > max_pixels() * _BYTES_A_PIXEL:
        raise TooLargeFramesError(
            f"its frames of {frame.width} x {frame.height} pixels, as they are shown, take {num_bytes:,.0f} bytes, the "
            f"limit is {max_pixels() * _BYTES_A_PIXEL:,}"
        )


def check_frame_size(width: int, height: int, *, limit: int) -> None:
    """ValueError for a frame of more than `limit` pixels."""
    if width * height > limit:
        raise TooLargeFramesError(f"its {width} x {height} pixels a frame are too many, the limit is {limit:,}")


class TooLargeFramesError(ValueError):
    """Frames whose decoding would take more memory than the limit on pixels allows."""


def _frame_pixels(bytes_a_pixel: float, num_frames: int) -> int:
    """The largest frame, in pixels, for a decoder that keeps `num_frames` frames."""
    return int(max_pixels() * _BYTES_A_PIXEL / (bytes_a_pixel * num_frames + _RGB_BYTES))


def _bytes_a_pixel(form: Any) -> float:
    """Bytes a pixel of a pixel format; the most where it is not known yet."""
    return _MOST_BYTES if form is None else max(_LEAST_BYTES, form.padded_bits_per_pixel / 8)


def _check_boxes(file: BinaryIO | BytesIO, size: int) -> None:
    """ValueError for an MP4 or MOV that lists more samples than it could hold."""
    place, listed, alike = 0, 0, 0
    for _ in range(_MAX_BOXES):
        if place + 8 > size:
            return
        file.seek(place)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        length = int.from_bytes(head[8:16], "big") if length == 1 else length
        end = place + length if length >= 8 else size
        if kind not in _PASSED_OVER:
            more_listed, more_alike = _count_samples(file, place, min(end, size))
            listed, alike = listed + more_listed, alike + more_alike
        if listed > _MAX_SAMPLES or alike > max(_MAX_SAMPLES, size):
            raise ValueError(f"it promises {listed + alike:,} frames or pieces of audio in {size:,} bytes")
        place = end
    raise ValueError("it has too many parts")


def _count_samples(file: BinaryIO | BytesIO, start: int, end: int) -> tuple[int, int]:
    """The numbers of samples in a box: those listed one by one, and those of one common size."""
    listed, alike = 0, 0
    places = ((place, stop) for first, stop in _regions(file, start, end) for place in range(first, stop, _BLOCK_BYTES))
    for place, stop in places:
        file.seek(place)
        block = file.read(min(_BLOCK_BYTES + 16, stop - place))
        for match in _SAMPLES.finditer(block):
            kind, at = match[1], match.start()
            if at >= _BLOCK_BYTES:
                break  # the next block begins with it
            if kind == b"cmov":
                raise ValueError("its index is compressed, as players of old had it")
            count = int.from_bytes(block[at + 8 : at + 12] if kind == b"trun" else block[at + 12 : at + 16], "big")
            is_alike = kind == b"stsz" and any(block[at + 8 : at + 12])
            listed, alike = listed + count * (not is_alike), alike + count * is_alike
    return listed, alike


def _regions(file: BinaryIO | BytesIO, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a box, as (start, end), that may list samples: all but tables of numbers."""
    waiting = [(start, end)]
    for _ in range(_MAX_BOXES):
        if not waiting:
            return
        place, stop = waiting.pop()
        file.seek(place)
        head = file.read(min(8, stop - place))
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8 or not 8 <= length <= stop - place:  # what FFmpeg makes of it is not known here
            yield place, stop
            continue
        if length < stop - place:
            waiting.append((place + length, stop))
        if kind in _CONTAINERS and length > 8:
            waiting.append((place + 8, place + length))
        elif kind not in _TABLES:
            yield place, place + length
    raise ValueError("it has too many parts")
