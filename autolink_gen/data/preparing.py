"""Videos made into folders of small frames once, which training then reads quickly."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from PIL import Image

from autolink_gen.data.folders import beside_hidden, check_folder, kinds_of, walk_files
from autolink_gen.data.found import found_clips, tell
from autolink_gen.data.images import FIT, check_fit, fit_square
from autolink_gen.data.video import VIDEO_SUFFIXES, VideoReader, is_video
from autolink_gen.files import reading, write_text_atomically
from autolink_gen.progress import Progress, no_progress
from autolink_gen.text import shown

MIN_SIZE, MAX_SIZE = 16, 1024
SETTINGS_NAME = "prepared.json"
_QUALITY = 95
_FRAME = re.compile(r"[0-9]{6,}\.jpg")


@dataclass(frozen=True)
class PreparedClip:
    """What became of one video: its frames written, or those found from before; or why there are none."""

    video: Path
    num_frames: int
    was_there: bool = False
    error: str = ""


def prepare_videos(
    source: str | Path,
    target: Path,
    *,
    size: int,
    fit: FIT = "crop",
    fps: float | None = None,
    processes: int = 1,
    progress: Progress = no_progress,
) -> list[PreparedClip]:
    """Write the frames of every video below `source` as JPEG of (size, size) pixels, a folder a video, at its place.

    With `fps` at most so many frames a second are kept. A folder takes its name when it is whole: one that is
    there is left as it is, so that an interrupted call may be repeated. A video that cannot be read is reported
    and leaves nothing.

    Raises:
        ValueError: no such folder, no videos in it, an argument out of range, or frames that are there already
            and were made with others.
        OSError: the frames cannot be written.
    """
    check_fit(fit)
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size is {size}; it must be {MIN_SIZE} to {MAX_SIZE} pixels")
    if fps is not None and not fps > 0:
        raise ValueError(f"fps is {fps}; it must be positive")
    source = check_folder(source)
    videos = _list_videos(source)
    _note_settings(target, {"size": size, "fit": fit, "fps": fps})
    stems = Counter(video.with_suffix("") for video in videos)
    places = [video if stems[video.with_suffix("")] > 1 else video.with_suffix("") for video in videos]
    pairs = [(video, target / place.relative_to(source)) for video, place in zip(videos, places, strict=True)]
    work = partial(_prepare, size=size, fit=fit, fps=fps)
    return list(progress(_each(work, pairs, processes=processes), len(pairs), "videos"))


def _note_settings(target: Path, settings: dict[str, Any]) -> None:
    """Write down how the frames are made; ValueError where those that are there were made otherwise."""
    file = target / SETTINGS_NAME
    if file.is_file():
        with reading(file, "note of how frames were made", remedy="give another folder"):
            found = json.loads(file.read_text(encoding="utf-8"))
        if found != settings:
            raise ValueError(f"{target} holds frames made with {shown(found)}, not {settings}; give another folder")
    write_text_atomically(file, json.dumps(settings) + "\n")


def _each(
    work: Callable[[tuple[Path, Path]], PreparedClip], pairs: list[tuple[Path, Path]], *, processes: int
) -> Iterator[PreparedClip]:
    if processes <= 1:
        yield from map(work, pairs)
        return
    # Spawned, not forked: the parent may have threads of torch or of FFmpeg.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(work, pairs)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _prepare(pair: tuple[Path, Path], *, size: int, fit: FIT, fps: float | None) -> PreparedClip:
    video, folder = pair
    if folder.is_dir():
        return PreparedClip(video, len(list(folder.glob("*.jpg"))), was_there=True)
    unfinished = folder.with_name(f".{folder.name}.tmp")
    count = 0
    try:
        _remove_frames(unfinished)  # of a call that was killed
        unfinished.mkdir(parents=True)
        for frame in VideoReader(video).timed(fps=fps):
            square = fit_square(Image.fromarray(frame.pixels), size=size, fit=fit)
            square.save(unfinished / f"{frame.number:06d}.jpg", quality=_QUALITY)
            count += 1
        unfinished.rename(folder)
    except ValueError as error:
        return PreparedClip(video, 0, error=str(error))
    finally:
        with suppress(ValueError):
            _remove_frames(unfinished)
    return PreparedClip(video, count)


def _remove_frames(folder: Path) -> None:
    """Remove a folder of frames that is not finished; ValueError, and it stays, where it holds anything else."""
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir() or not all(_FRAME.fullmatch(file.name) for file in folder.iterdir()):
        raise ValueError(f"{folder} is in the way, and holds what was not written here: move it elsewhere")
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def _list_videos(source: Path) -> list[Path]:
    files = list(walk_files(source))
    videos = sorted(filter(is_video, files))
    if not videos:
        found = f"found {kinds_of(files)}" if files else beside_hidden(source)
        raise ValueError(
            f"no videos in {source}: looked at any depth for {', '.join(VIDEO_SUFFIXES)}, and {found}; give another "
            "folder"
        )
    tell(found_clips(source, len(videos), (file for file in files if not is_video(file)), things="videos"))
    return videos
