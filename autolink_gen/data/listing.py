"""One-line reports of a folder's images and of the files that are not read."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from autolink_gen.common.text import printable
from autolink_gen.data.folders import UNREADABLE_IMAGE_SUFFIXES, is_image, kinds_of
from autolink_gen.data.video.reader import is_video

logger = logging.getLogger(__name__)

_REMEDIES = dict(UNREADABLE_IMAGE_SUFFIXES)
# What holds videos and is not read; whatever is read after all counts as found.
_OTHER_VIDEOS = frozenset((
    ".dv", ".f4v", ".m1v", ".m2v", ".mjpeg", ".mjpg", ".mod", ".mxf", ".ogm", ".qt", ".rm", ".rmvb", ".tod", ".y4m",
))  # fmt: skip
_ARCHIVES = frozenset([".7z", ".bz2", ".gz", ".rar", ".tar", ".tbz", ".tgz", ".txz", ".xz", ".zip", ".zst"])
_CONVERT_VIDEO = "convert them, as in ffmpeg -i FILE FILE.mp4"
_UNPACK = "unpack them"
_VIDEOS_BESIDE = "images come first where there are some; give the videos' folder by itself"
_VIDEOS_IN_SHARDS = "videos are read from folders, not from shards; unpack them"
_SINGLE = "single images in their folders: a clip has two frames or more"
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
_SHOWN = 5
_MANY = 2  # tables and texts may lie beside each image


@dataclass(frozen=True)
class Listing:
    """The number of `things` ("images") in `place`, and the files beside them that are not read.

    `unread_files` are files that hold images or videos nevertheless: how many of which suffix, and why or what to do.
    `others` are the `num_others` further files, in words; empty where there are none.
    """

    things: str
    place: str
    count: int
    unread_files: tuple[tuple[int, str, str], ...] = ()
    others: str = ""
    num_others: int = 0

    @property
    def is_odd(self) -> bool:
        """Whether a person should know: images or videos are left out, or far more files lie here than are read."""
        return bool(self.unread_files) or self.num_others > _MANY * self.count

    @property
    def line(self) -> str:
        """ "images: 3 in pics, left out: 24 x .heic (convert them to JPEG)"; what is no image follows."""
        parts = [f"{self.things}: {self.count:,} in {printable(self.place)}"]
        left_out = [f"{count:,} x {printable(suffix)} ({why})" for count, suffix, why in self.unread_files[:_SHOWN]]
        more = sum(count for count, _, _ in self.unread_files[_SHOWN:])
        if left_out:
            parts.append("left out: " + ", ".join(left_out) + (f" and {more:,} more" if more else ""))
        if self.others:
            parts.append(f"beside them: {self.others}")
        return ", ".join(parts)


def image_listing(place: str | Path, count: int, others: Iterable[Path]) -> Listing:
    """The listing of a folder of images: their number, and `others` beside them."""
    return _listing("images", place, count, others, lambda path: _VIDEOS_BESIDE if is_video(path) else "")


def clip_listing(place: str | Path, count: int, others: Iterable[Path], *, things: str = "clips") -> Listing:
    """The listing of clips or, as `things`, videos: their number, and `others` beside them."""
    single = _SINGLE if things == "clips" else ""
    return _listing(things, place, count, others, lambda path: single if is_image(path) else "")


def shard_listing(data: str, count: int, others: Iterable[Path]) -> Listing:
    """What was found in shards: so many images; of the other members only those that hold images or videos count.

    Labels and captions belong there.
    """
    media = filter(is_left_out, others)
    return _listing("images", data, count, media, lambda path: _VIDEOS_IN_SHARDS if is_video(path) else "")


def unread_files(paths: Iterable[Path]) -> tuple[tuple[int, str, str], ...]:
    """Of files that are read neither as images nor as videos those that hold some: number, suffix, remedy."""
    return _listing("files", "", 0, paths, lambda path: "").unread_files


def is_left_out(path: Path) -> bool:
    """Whether a file holds, by its name, a video or what is not read: an image of another kind, an archive."""
    return is_video(path) or bool(_why(path))


def log_listing(listing: Listing) -> None:
    """Log what was found, once for all processes that train together: a warning where `is_odd`, else information."""
    if all(os.environ.get(name, "0") in ("", "0") for name in _RANKS):
        logger.log(logging.WARNING if listing.is_odd else logging.INFO, "%s", listing.line)


def _listing(
    things: str, place: str | Path, count: int, others: Iterable[Path], why_beside: Callable[[Path], str]
) -> Listing:
    whys, rest = Counter[tuple[str, str]](), list[Path]()
    for path in others:
        why = why_beside(path) or _why(path)
        if why:
            whys[path.suffix.lower(), why] += 1
        else:
            rest.append(path)
    unread_files = sorted(
        ((number, suffix, why) for (suffix, why), number in whys.items()), key=lambda item: (-item[0], item)
    )
    return Listing(things, str(place), count, tuple(unread_files), kinds_of(rest) if rest else "", len(rest))


def _why(path: Path) -> str:
    """Why a file that may hold images or videos is not read, with the remedy; nothing for any other file."""
    suffix = path.suffix.lower()
    if suffix in _REMEDIES:
        return _REMEDIES[suffix]
    if suffix in _OTHER_VIDEOS:
        return _CONVERT_VIDEO
    return _UNPACK if suffix in _ARCHIVES else ""
