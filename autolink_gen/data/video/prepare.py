"""Videos extracted once into folders of small frames, for fast training."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.common.text import counted
from autolink_gen.data.folders import beside_hidden, check_folder, kinds_of, walk_files
from autolink_gen.data.images import FIT, check_fit, fit_square
from autolink_gen.data.listing import clip_listing, log_listing
from autolink_gen.data.processes import spread_work
from autolink_gen.data.video.frame_folders import claim_folders, remove_frames
from autolink_gen.data.video.reader import VIDEO_SUFFIXES, VideoReader, is_video

MIN_SIZE, MAX_SIZE = 16, 1024
_QUALITY = 95
_MAX_NAME_BYTES = 255  # of most file systems


@dataclass(frozen=True)
class PreparedClip:
    """The result for one video: frames written, frames kept from before, or an error."""

    video: Path
    num_frames: int
    was_there: bool = False
    error: str = ""


def report_lines(clips: Sequence[PreparedClip], target: Path) -> list[str]:
    """Lines that count the frames and videos written or kept in `target`, and list unreadable videos."""
    broken = [clip for clip in clips if clip.error]
    lines = []
    for title, clips_of_kind in (
        ("wrote", [clip for clip in clips if not clip.error and not clip.was_there]),
        ("kept", [clip for clip in clips if clip.was_there]),
    ):
        if clips_of_kind:
            frames = sum(clip.num_frames for clip in clips_of_kind)
            lines.append(f"{title} {counted(frames, 'frame')} of {counted(len(clips_of_kind), 'video')} in {target}")
    if broken:
        lines += [f"{counted(len(broken), 'video')} could not be read:", *(f"  {clip.error}" for clip in broken)]
    return lines


def prepare_videos(
    source: str | Path,
    target: Path,
    *,
    size: int,
    fit: FIT = "crop",
    fps: float | None = None,
    processes: int = 1,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> list[PreparedClip]:
    """Write the frames of every video below `source` as (size, size) JPEG, one folder a video, at its place.

    With `fps` at most so many frames a second are kept. A folder takes its name when it is whole: one that an earlier
    call made so, of the same video, is left as it is, so that an interrupted call may be repeated. A video that cannot
    be read is reported and leaves nothing. With `overwrite` frames made otherwise, or of another video, are replaced.

    Raises:
        ValueError: no such folder, no videos in it, an argument out of range, or frames that are there already
            and were made otherwise, of other videos or by others.
        OSError: the frames cannot be written, or one of the processes was killed.
    """
    check_fit(fit)
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size is {size}; it must be {MIN_SIZE} to {MAX_SIZE} pixels")
    if fps is not None and not fps > 0:
        raise ValueError(f"fps is {fps}; it must be positive")
    source = check_folder(source)
    videos = _list_videos(source)
    stems = Counter(video.with_suffix("") for video in videos)
    places = [video if stems[video.with_suffix("")] > 1 else video.with_suffix("") for video in videos]
    pairs = [(video, target / place.relative_to(source)) for video, place in zip(videos, places, strict=True)]
    claim_folders(target, pairs, {"size": size, "fit": fit, "fps": fps}, overwrite=overwrite)
    work = partial(_prepare, size=size, fit=fit, fps=fps)
    done: list[PreparedClip] = []
    try:
        done.extend(progress(spread_work(work, pairs, processes=processes), len(pairs), "videos"))
    finally:
        for _, folder in pairs[len(done) :]:  # of processes that ended in the middle of a video
            with suppress(ValueError, OSError):
                remove_frames(_unfinished_folder(folder))
    return done


def _unfinished_folder(folder: Path) -> Path:
    """The hidden folder that is filled first; a long name is replaced by its checksum."""
    name = f".{folder.name}.tmp"
    if len(os.fsencode(name)) > _MAX_NAME_BYTES:
        name = f".{hashlib.sha256(os.fsencode(folder.name)).hexdigest()[:16]}.tmp"
    return folder.with_name(name)


def _prepare(pair: tuple[Path, Path], *, size: int, fit: FIT, fps: float | None) -> PreparedClip:
    video, folder = pair
    if folder.is_dir():
        return PreparedClip(video, len(list(folder.glob("*.jpg"))), was_there=True)
    unfinished = _unfinished_folder(folder)
    count = 0
    try:
        remove_frames(unfinished)  # of a call that was killed
        unfinished.mkdir(parents=True)
        for frame in VideoReader(video).timed_frames(fps=fps):
            square = fit_square(Image.fromarray(frame.pixels), size=size, fit=fit)
            square.save(unfinished / f"{frame.number:06d}.jpg", quality=_QUALITY)
            count += 1
        unfinished.rename(folder)
    except ValueError as error:
        return PreparedClip(video, 0, error=str(error))
    finally:
        with suppress(ValueError):
            remove_frames(unfinished)
    return PreparedClip(video, count)


def _list_videos(source: Path) -> list[Path]:
    files = list(walk_files(source))
    videos = sorted(filter(is_video, files))
    if not videos:
        found = f"found {kinds_of(files)}" if files else beside_hidden(source)
        raise ValueError(
            f"no videos in {source}: looked at any depth for {', '.join(VIDEO_SUFFIXES)}, and {found}; give another "
            "folder"
        )
    log_listing(clip_listing(source, len(videos), (file for file in files if not is_video(file)), things="videos"))
    return videos
