"""Folders of frames extracted from videos: their settings, their videos, what may be replaced."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autolink_gen.common.files import reading, write_text_atomically
from autolink_gen.common.text import shown

SETTINGS_NAME = "prepared.json"
_VIDEOS = "videos"  # in a note: the place of each folder, and how many bytes its video had
_FRAME = re.compile(r"[0-9]{6,}\.jpg")


def claim_folders(
    target: Path, pairs: Sequence[tuple[Path, Path]], settings: Mapping[str, Any], *, overwrite: bool = False
) -> None:
    """Record in `target` the settings and the videos of frames; `pairs` are a video and its folder of frames.

    An existing folder stays where its settings and the size of its video are the same. With `overwrite` any other is
    removed first, where it holds frames alone.

    Raises:
        ValueError: a folder is there that was made otherwise, of another video or by others; nothing is changed then.
    """
    note = _read_note(target)
    sizes = {folder.relative_to(target).as_posix(): _size(video) for video, folder in pairs}
    same = note is None or all(note.get(name) == value for name, value in settings.items())
    old_sizes = _recorded_sizes(note)
    if not same and not (overwrite and old_sizes.keys() <= sizes.keys()):
        old_settings = {name: value for name, value in (note or {}).items() if name != _VIDEOS}
        remedy = "" if old_sizes.keys() - sizes.keys() else ", or --overwrite to make them anew"
        raise ValueError(
            f"{target} holds frames made with {shown(old_settings)}, not {dict(settings)}: give another folder{remedy}"
        )
    knows_all = note is not None and same and _VIDEOS not in note  # as earlier versions wrote it
    strange = [
        folder
        for (_, folder), (place, size) in zip(pairs, sizes.items(), strict=True)
        if os.path.lexists(folder) and not (knows_all or (same and old_sizes.get(place) == size))
    ]
    if strange and not overwrite:
        more = f" (and {len(strange) - 1} more)" if len(strange) > 1 else ""
        raise ValueError(
            f"{strange[0]} is there already{more}, made of another video or by others: give another folder, or "
            "--overwrite to replace it"
        )
    for folder in strange:
        _check_frames(folder)
    for folder in strange:
        remove_frames(folder)
    note = {**settings, _VIDEOS: {**(old_sizes if same else {}), **sizes}}
    write_text_atomically(target / SETTINGS_NAME, json.dumps(note) + "\n", follow_links=False)


def remove_frames(folder: Path) -> None:
    """Remove a folder of frames; ValueError, and it stays, where it holds anything else."""
    if not os.path.lexists(folder):
        return
    _check_frames(folder)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def _check_frames(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir() or not all(_FRAME.fullmatch(file.name) for file in folder.iterdir()):
        raise ValueError(f"{folder} is in the way, and holds what was not written here: move it elsewhere")


def _read_note(target: Path) -> dict[str, Any] | None:
    """The settings and videos recorded in a folder of frames; None where there is no record."""
    file = target / SETTINGS_NAME
    if not file.is_file():
        return None
    with reading(file, "note of how frames were made", remedy="give another folder"):
        note: Any = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(note, dict) or not isinstance(note.get(_VIDEOS, {}), dict):
            raise ValueError("it is of another form")
        return note


def _size(video: Path) -> int:
    try:
        return video.stat().st_size
    except OSError:  # a link that leads nowhere, which is reported in its turn
        return -1


def _recorded_sizes(note: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if note is None else dict(note.get(_VIDEOS, {}))
