"""Media files, opened safely with PyAV, and the choice of their tracks."""

import os
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from autolink_gen.common.files import reason_of
from autolink_gen.data.video.limits import opening_options

_DEFAULT, _ATTACHED_PIC = 1, 1 << 10  # marks of a track, as FFmpeg numbers them


def media_path(path: Path) -> str:
    """A file's name that FFmpeg takes for a file: "12:30:45.mp4" would be taken for a protocol."""
    return os.path.abspath(path)  # noqa: PTH100


def open_media(path: Path) -> Any:
    """Open a video or audio file with PyAV; no other file is opened, and the size of frames is limited.

    Raises ValueError for what is no ordinary file, or too large, and whatever PyAV does.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError("it is a directory" if path.is_dir() else "it is no ordinary file")
    return av.open(media_path(path), metadata_errors="replace", options=opening_options(path))


def video_track(container: Any) -> Any | None:
    """The video track: the one marked as default, else the first; a cover image is none."""
    return _pick_track([track for track in container.streams.video if not _has(track, _ATTACHED_PIC)])


def audio_track(container: Any) -> Any | None:
    """The audio track: of those that can be decoded the one marked as default, else the first."""
    return _pick_track(list(container.streams.audio))


def _pick_track(tracks: list[Any]) -> Any | None:
    decodable = [track for track in tracks if track.codec_context is not None] or tracks
    marked = [track for track in decodable if _has(track, _DEFAULT)]
    return next(iter(marked or decodable), None)


def _has(track: Any, mark: int) -> bool:
    marks = getattr(track, "disposition", 0)  # a number of its own kind, and none in an old PyAV
    return bool(getattr(marks, "value", marks) & mark)


def media_reason(error: BaseException) -> str:
    """An error's message; for FFmpeg's errors, FFmpeg's own."""
    return str(error.strerror) if isinstance(error, FFmpegError) and error.strerror else reason_of(error)
