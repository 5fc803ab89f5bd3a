"""AVIF files within bounds: the primary image, by FFmpeg's decoder of AV1, which can be told the largest size.

Differs: Pillow's decoder believes the image and not the header, and takes up to 16,384 x 16,384 pixels.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import av
from PIL import Image

from autolink_gen.data.decoding.limits import MAX_PASSES, check_file_size, too_many
from autolink_gen.data.video.frame_pixels import Display
from autolink_gen.data.video.limits import TooLargeFramesError, check_frame_size, file_options, limit_decoder

_COST = 3  # the frames of the decoder, the RGB, and the same for what can be seen through
_TOLD: set[str] = set()  # a thing is said of the first image alone: images are read again and again
_DEFAULT, _DEPENDENT = 1, 1 << 19  # dispositions: the primary image, a tile of one
_FRAME_HEADER, _FRAME = 3, 6  # kinds of the parts of AV1, section 6.2.2 of its specification


def avif_header(handle: BinaryIO | BytesIO, *, max_pixels: int) -> tuple[tuple[int, int], str]:
    """Width and height as stored, and "RGB" or "RGBA"; ValueError where it is no image that is read here."""
    with _opened(handle, max_pixels=max_pixels) as (_, streams):
        context = streams[0].codec_context
        return (context.width, context.height), "RGBA" if len(streams) == 2 else "RGB"


def decode_avif(handle: BinaryIO | BytesIO, *, max_pixels: int) -> Image.Image:
    """Decode an AVIF into RGB, upright, transparency over white; TooManyPixelsError, ValueError or what FFmpeg raises.

    Of an animation it is the first frame. An image put together from tiles is refused in words.
    """
    with _opened(handle, max_pixels=max_pixels) as (container, streams):
        size = streams[0].codec_context.width, streams[0].codec_context.height
        try:
            for stream in streams:
                limit_decoder(stream)
                stream.thread_type = "SLICE"  # there is one frame
            frames = _first_frames(container, streams)
            check_frame_size(frames[0].width, frames[0].height, limit=max_pixels // _COST)
            if (frames[0].width, frames[0].height) != size:
                raise ValueError(
                    f"its image has {frames[0].width} x {frames[0].height} pixels, and not what its header says"
                )
            name = Path(str(getattr(handle, "name", "an AVIF image")))
            display = Display(streams[0], name, logged=_TOLD, has_square_pixels=True)
            return Image.fromarray(display.pixels(frames[0], alpha=frames[1] if len(frames) > 1 else None))
        except TooLargeFramesError as error:
            raise too_many(size, max_pixels, note=f" (of this kind each counts {_COST}-fold, or more)") from error


@contextmanager
def _opened(handle: BinaryIO | BytesIO, *, max_pixels: int) -> Iterator[tuple[Any, list[Any]]]:
    """The file, and its stream of colours, with that of what can be seen through where there is one."""
    num_bytes = handle.seek(0, os.SEEK_END)
    check_file_size(num_bytes, max_pixels=max_pixels)
    options = file_options(handle, num_bytes)
    handle.seek(0)
    with av.open(handle, metadata_errors="replace", options=options) as container:
        streams = [stream for stream in container.streams.video if stream.codec_context is not None]
        if not streams:
            raise ValueError("there is no image in it")
        chosen = _chosen(streams)
        if not chosen[0].codec_context.width or not chosen[0].codec_context.height:
            raise ValueError("it does not say how large its image is")
        yield container, chosen


def _chosen(streams: list[Any]) -> list[Any]:
    """The primary image, and what it is seen through where there is one."""
    if any(int(stream.disposition) & _DEPENDENT for stream in streams):
        raise ValueError("it is put together from tiles, which is not read here; convert it to PNG or JPEG")
    first = next((stream for stream in streams if int(stream.disposition) & _DEFAULT), streams[0])
    layers = [stream for stream in streams if stream is not first and not int(stream.disposition) & _DEFAULT]
    return [first, *layers[:1]]


def _first_frames(container: Any, streams: list[Any]) -> list[Any]:
    """The first frame of each stream; ValueError where one has none."""
    found: dict[int, Any] = {}
    for packet in container.demux(*streams):
        if packet.stream.index in found:
            continue
        if _num_frames(bytes(packet)) > MAX_PASSES:
            raise ValueError("it has too many frames in one")
        for frame in packet.decode()[:1]:
            found[packet.stream.index] = frame
        if len(found) == len(streams):
            return [found[stream.index] for stream in streams]
    raise ValueError("its image cannot be decoded")


def _num_frames(content: bytes) -> int:
    """How many frames a packet of AV1 has, hidden ones included, which take as long as others."""
    place = count = 0
    while place < len(content):
        head = content[place]
        place += 2 if head & 4 else 1
        if not head & 2:  # it goes on to the end
            return count + ((head >> 3) & 15 in (_FRAME_HEADER, _FRAME))
        length = shift = 0
        while place < len(content):
            byte = content[place]
            length |= (byte & 127) << shift
            place, shift = place + 1, shift + 7
            if not byte & 128 or shift > 56:
                break
        count += (head >> 3) & 15 in (_FRAME_HEADER, _FRAME)
        place += length
    return count
