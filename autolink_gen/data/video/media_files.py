"""Media files opened with PyAV: no other file than the one named, and which of its tracks is meant."""

import os
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from autolink_gen.common.files import reason_of
from autolink_gen.data.video.limits import opening_options

_DEFAULT, _ATTACHED_PIC = 1, 1 << 10  # marks of a track, as FFmpeg numbers them


def media_path(path: Path) -> str:
    """A file's name as FFmpeg takes it for nothing but a file: "12:30:45.mp4" would be taken for a protocol."""
    return os.path.abspath(path)  # noqa: PTH100


def open_media(path: Path) -> Any:
    """Open a video or sound file with PyAV; it opens no other file, whatever it says, and its frames are limited.

    Raises ValueError for what is no ordinary file, or too large, and whatever PyAV does.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError("it is a directory" if path.is_dir() else "it is no ordinary file")
    return av.open(media_path(path), metadata_errors="replace", options=opening_options(path))


def picture_track(container: Any) -> Any | None:
    """The track of a film's pictures: the one marked as default, else the first; a cover or a poster is none."""
    return _preferred([one for one in container.streams.video if not _has(one, _ATTACHED_PIC)])


def sound_track(container: Any) -> Any | None:
    """The track of a file's sound: of those that can be decoded the one marked as default, else the first."""
    return _preferred(list(container.streams.audio))


def _preferred(tracks: list[Any]) -> Any | None:
    known = [track for track in tracks if track.codec_context is not None] or tracks
    marked = [track for track in known if _has(track, _DEFAULT)]
    return next(iter(marked or known), None)


def _has(track: Any, mark: int) -> bool:
    marks = getattr(track, "disposition", 0)  # a number of its own kind, and none in an old PyAV
    return bool(getattr(marks, "value", marks) & mark)


def media_reason(error: BaseException) -> str:
    """What an error says, FFmpeg's in its own words."""
    return str(error.strerror) if isinstance(error, FFmpegError) and error.strerror else reason_of(error)
