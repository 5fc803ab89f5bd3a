"""Checks a folder of images and videos: sizes, modes, unreadable files, near-duplicates."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.common.text import counted
from autolink_gen.common.tolerance import are_too_many
from autolink_gen.data.folders import check_folder, count_suffixes, is_image, list_images, walk_files
from autolink_gen.data.images import ImageError, ImageHeader, read_header, read_image
from autolink_gen.data.listing import unread_files
from autolink_gen.data.video.check import VideoReport, inspect_videos
from autolink_gen.data.video.reader import is_video

SMALL_SIDE_PX = 64
THUMBNAIL_PX = 16
MAX_HASH_DISTANCE = 6
MAX_THUMBNAIL_DIFFERENCE = 6.0
_ROWS_AT_ONCE = 512
_SHOWN = 10  # groups of near-duplicates that are listed
_COMPARED_AT_ONCE = 2**24  # pairs, of which each takes five bytes


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest of some numbers."""

    smallest: int
    median: float
    largest: int


@dataclass(frozen=True)
class Unreadable:
    """A file that cannot be read, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class FolderReport:
    """What `inspect_folder` found; sizes in pixels as stored, before any turning that EXIF data ask for.

    `num_small` counts images with a side under 64 pixels. Each group of `near_duplicates` begins with the
    image that the others resemble; None where they were not looked for. Sizes are None where nothing could
    be read. `other_files` are neither images nor videos; `left_out` are those of them that hold some in a form that
    is not read: how many of which suffix, and the remedy.
    """

    folder: Path
    num_readable: int
    suffixes: dict[str, int]
    other_files: dict[str, int]
    left_out: tuple[tuple[int, str, str], ...]
    unreadable: tuple[Unreadable, ...]
    widths: Spread | None
    heights: Spread | None
    num_small: int
    modes: dict[str, int]
    near_duplicates: tuple[tuple[Path, ...], ...] | None
    videos: tuple[VideoReport, ...] = ()

    @property
    def unreadable_videos(self) -> tuple[VideoReport, ...]:
        """The videos that cannot be used."""
        return tuple(video for video in self.videos if video.problem)

    @property
    def cut_videos(self) -> tuple[VideoReport, ...]:
        """The videos that end early, of which the beginning is used."""
        return tuple(video for video in self.videos if video.cut)

    @property
    def ends_training(self) -> bool:
        """Whether more files are unreadable than training tolerates."""
        num_images = self.num_readable + len(self.unreadable)
        return are_too_many(len(self.unreadable), num_images) or are_too_many(
            len(self.unreadable_videos), len(self.videos)
        )

    def lines(self) -> list[str]:
        """The report in words, a line each."""
        total = self.num_readable + len(self.unreadable)
        lines = [f"{self.folder}: {counted(total, 'image')}" + (f" ({_counts(self.suffixes)})" if total else "")]
        if self.videos:
            lines[0] += f", {counted(len(self.videos), 'video')}"
        if self.widths and self.heights:
            for name, spread in (("width", self.widths), ("height", self.heights)):
                lines.append(f"{name:<16} {spread.smallest} / {spread.median:g} / {spread.largest} px (min/median/max)")
            lines.append(f"{'under 64 px':<16} {self.num_small}")
            lines.append(f"{'modes':<16} {_counts(self.modes)}")
        if self.other_files:
            lines.append(f"{'other files':<16} {_counts(self.other_files)}")
            lines += [f"  {count} {suffix} left out: {why}" for count, suffix, why in self.left_out]
        lines.append(f"{'unreadable':<16} {len(self.unreadable) + len(self.unreadable_videos)}")
        lines += [f"  {bad.path}: {bad.reason}" for bad in self.unreadable]
        lines += [f"  {bad.problem}" for bad in self.unreadable_videos]
        if self.cut_videos:
            lines.append(f"{'cut short':<16} {len(self.cut_videos)}, of which the beginning is used")
            lines += [f"  {video.cut} {counted(video.num_frames, 'frame')} can be read" for video in self.cut_videos]
        lines += _damage_lines(self.videos)
        if self.near_duplicates is not None and total:
            lines += _duplicate_lines(self.near_duplicates)
        return lines


def _damage_lines(videos: Sequence[VideoReport]) -> list[str]:
    """The damage in videos that are used nevertheless."""
    damaged = [video for video in videos if video.bad_frames and not video.problem]
    if not damaged:
        return []
    total = sum(video.bad_frames for video in damaged)
    lines = [f"  {video.path}: {video.bad_frames} of {video.bad_frames + video.num_frames}" for video in damaged]
    return [f"{'damaged frames':<16} {total}, which are passed over", *lines]


def _duplicate_lines(groups: Sequence[tuple[Path, ...]]) -> list[str]:
    spare = sum(len(group) - 1 for group in groups)
    lines = [f"{'near-duplicates':<16} {counted(spare, 'image')} like another ({counted(len(groups), 'group')})"]
    lines += [f"  {_group(group)}" for group in groups[:_SHOWN]]
    rest = len(groups) - _SHOWN
    return lines + ([f"  ... and {rest} more (--json FILE writes them all)"] if rest > 0 else [])


def _group(group: tuple[Path, ...]) -> str:
    first, *others = group
    names = [path.name if path.parent == first.parent else str(path) for path in others[:3]]
    return f"{first} = {', '.join(names)}{', ...' if len(others) > 3 else ''}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def inspect_folder(
    folder: str | Path, *, near_duplicates: bool = True, progress: Progress = no_progress
) -> FolderReport:
    """Decode every image and every video below a folder and report on them.

    `progress(items, total, label)` may wrap what is gone through, to show how far it is.

    Raises:
        ValueError: the folder is missing or holds neither an image nor a video.
    """
    folder = check_folder(folder)
    files = list(walk_files(folder))
    videos = sorted(filter(is_video, files))
    paths = sorted(filter(is_image, files)) if videos else list_images(folder)
    others = [path for path in files if not is_image(path) and not is_video(path)]
    readable: list[Path] = []
    headers: list[ImageHeader] = []
    thumbnails: list[np.ndarray] = []
    unreadable: list[Unreadable] = []
    for path in progress(paths, len(paths), "reading"):
        try:
            header, thumbnail = read_header(path), _thumbnail(path)
        except ImageError as error:
            unreadable.append(Unreadable(path, error.reason))
            continue
        readable.append(path)
        headers.append(header)
        thumbnails.append(thumbnail)
    return FolderReport(
        folder=folder,
        num_readable=len(readable),
        suffixes=count_suffixes(paths),
        other_files=count_suffixes(others),
        left_out=unread_files(others),
        unreadable=tuple(unreadable),
        widths=_spread([header.width for header in headers]),
        heights=_spread([header.height for header in headers]),
        num_small=sum(min(header.width, header.height) < SMALL_SIDE_PX for header in headers),
        modes=dict(Counter(header.mode for header in headers).most_common()),
        near_duplicates=_groups(readable, thumbnails, progress) if near_duplicates else None,
        videos=inspect_videos(videos, progress=progress) if videos else (),
    )


def _groups(paths: list[Path], thumbnails: list[np.ndarray], progress: Progress) -> tuple[tuple[Path, ...], ...]:
    groups = find_near_duplicates(np.array(thumbnails), progress=progress) if thumbnails else []
    return tuple(tuple(paths[index] for index in group) for group in groups)


def find_near_duplicates(
    thumbnails: UInt8[np.ndarray, "N 16 16"], *, progress: Progress = no_progress
) -> list[list[int]]:
    """Group images that look the same, given as small grey thumbnails; groups of two or more, as indices.

    Two look the same when at most 6 of 64 bits differ between their difference hashes (is a pixel darker than
    its right neighbour) and their thumbnails differ by at most 6 grey levels on average. A group is what
    resembles its first member: frames of a video do not all chain into one. Time grows with N^2: about a
    second for 10,000.
    """
    # For signs a, b of 64 bits, a.b = 64 - 2 * distance: a matrix product compares all pairs.
    signs = _difference_signs(thumbnails)
    flat = thumbnails.reshape(-1, THUMBNAIL_PX**2).astype(np.int16)
    free = np.ones(len(thumbnails), bool)
    groups = []
    rows_at_once = max(1, min(_ROWS_AT_ONCE, _COMPARED_AT_ONCE // max(1, len(thumbnails))))
    starts = range(0, len(thumbnails), rows_at_once)
    for start in progress(starts, len(starts), "comparing"):
        alike = signs[start : start + rows_at_once] @ signs[start:].T >= 64 - 2 * MAX_HASH_DISTANCE
        for row in range(len(alike)):
            if not free[start + row]:
                continue
            others = row + 1 + np.flatnonzero(alike[row, row + 1 :] & free[start + row + 1 :]) + start
            close = np.abs(flat[others] - flat[start + row]).mean(axis=1) <= MAX_THUMBNAIL_DIFFERENCE
            members = others[close]
            free[members] = False
            if len(members):
                groups.append([start + row, *members.tolist()])
    return groups


def _thumbnail(path: Path) -> UInt8[np.ndarray, "16 16"]:
    image = read_image(path, min_side=THUMBNAIL_PX).convert("L")
    small = image.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(small)


def _difference_signs(thumbnails: UInt8[np.ndarray, "N 16 16"]) -> Float32[np.ndarray, "N 64"]:
    """The 64 bits of a difference hash as -1 and 1: 8 rows of 8 comparisons, on a grid of 8 x 9 cells."""
    rows = thumbnails.astype(np.float32).reshape(-1, 8, 2, THUMBNAIL_PX).mean(axis=2)
    columns = np.linspace(0, THUMBNAIL_PX, 10).astype(int)[:-1]
    cells = np.add.reduceat(rows, columns, axis=2) / np.diff([*columns, THUMBNAIL_PX])
    return np.where(cells[..., :-1] < cells[..., 1:], 1, -1).astype(np.float32).reshape(-1, 64)


def _spread(values: list[int]) -> Spread | None:
    return Spread(min(values), float(np.median(values)), max(values)) if values else None
