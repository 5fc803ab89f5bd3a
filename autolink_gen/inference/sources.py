"""The images and videos that a user's paths name, and the names of their overlays."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autolink_gen.common.files import fitting_name
from autolink_gen.data.folders import IMAGE_SUFFIXES, is_image, natural_key, walk_files
from autolink_gen.data.listing import Listing, log_listing, unread_files
from autolink_gen.data.video.reader import VIDEO_SUFFIXES, is_video


@dataclass(frozen=True)
class InputFile:
    """An image or video file, and the relative path of the overlay to make of it."""

    path: Path
    overlay: PurePosixPath

    @property
    def is_video(self) -> bool:
        """Whether its name is that of a video."""
        return is_video(self.path)


def find_sources(paths: Sequence[Path], *, out: Path | None = None) -> list[InputFile]:
    """The images, then the videos, in files and folders at any depth, each once, sorted.

    Overlays are named as the files are, below the name of their folder where several paths are given; where
    two would share a name, each keeps its own ending too ("1.jpg.png", "1.png.png"). Where the folder
    `out`, which overlays are meant for, lies inside one of the paths, what it holds is left out: earlier
    overlays are no input. What a folder holds of images and videos that cannot be read is said in the log.
    Raises ValueError for a path that does not exist, a file that is neither image nor video, an overlay that
    would take the place of an input, and where nothing is left.
    """
    if not paths:
        raise ValueError("no image or video was named; give at least one file or folder")
    files_by_path: dict[Path, tuple[Path, PurePosixPath]] = {}
    for path, prefix in zip(paths, _prefixes(paths), strict=True):
        for file, name in _files_of(path, prefix, out):
            files_by_path.setdefault(_real(file), (file, name))
    if not files_by_path:
        raise ValueError(_nothing(paths))
    ordered = sorted(files_by_path.values(), key=lambda item: (is_video(item[0]), natural_key(item[0])))
    overlays = _distinct([name for _, name in ordered], [file for file, _ in ordered])
    clashes = [name for name in overlays if out is not None and _real(out / name) in files_by_path]
    if clashes:
        raise ValueError(f"{clashes[0]} in {out} would replace an input; choose another --out")
    return [InputFile(file, overlay) for (file, _), overlay in zip(ordered, overlays, strict=True)]


def _real(file: Path) -> Path:
    """The path with links followed; a circular link's own path."""
    return Path(os.path.realpath(file))  # Path.resolve raises RuntimeError there


def _files_of(path: Path, prefix: str, out: Path | None) -> list[tuple[Path, PurePosixPath]]:
    if not path.exists():
        raise ValueError(f"there is no file or folder {path}; check the spelling")
    if path.is_dir():
        listed = list(walk_files(path))
        if out is not None and _real(path) in _real(out).parents:
            listed = [file for file in listed if _real(out) not in _real(file).parents]
        files = [file for file in listed if is_image(file) or is_video(file)]
        others = (file for file in listed if not (is_image(file) or is_video(file)))
        if files and (odd := unread_files(others)):
            log_listing(Listing("images and videos", str(path), len(files), odd))
        return [(file, PurePosixPath(prefix, file.relative_to(path).as_posix())) for file in files]
    if is_image(path) or is_video(path):
        return [(path, PurePosixPath(path.name))]
    if odd := unread_files([path]):
        raise ValueError(f"{path} is of a kind that is not read here: {odd[0][2]}")
    raise ValueError(
        f"{path} is by its name neither an image ({', '.join(IMAGE_SUFFIXES)}) "
        f"nor a video ({', '.join(VIDEO_SUFFIXES)}); rename or convert it"
    )


def _prefixes(paths: Sequence[Path]) -> list[str]:
    """The name of each path, numbered if two are alike; empty for a single path."""
    if len(paths) == 1:
        return [""]
    names, counts = [], Counter[str]()
    for path in paths:
        name = _real(path).name
        counts[name.lower()] += 1
        names.append(name if counts[name.lower()] == 1 else f"{name}-{counts[name.lower()]}")
    return names


def _distinct(names: list[PurePosixPath], files: list[Path]) -> list[PurePosixPath]:
    """Names with the overlay's ending, all distinct even where case is ignored."""
    endings = [".mp4" if is_video(file) else ".png" for file in files]
    short = [name.with_suffix(ending) for name, ending in zip(names, endings, strict=True)]
    uses = Counter(str(name).lower() for name in short)
    result: list[PurePosixPath] = []
    taken: set[str] = {"keypoints.json", "keypoints.csv"}
    for name, plain, ending in zip(names, short, endings, strict=True):
        alone = uses[str(plain).lower()] == 1
        stem = plain.with_suffix("").name if alone else name.name
        candidate, number = name.with_name(fitting_name(stem, ending)), 1
        while str(candidate).lower() in taken:
            number += 1
            candidate = name.with_name(fitting_name(stem, f"-{number}{ending}"))
        taken.add(str(candidate).lower())
        result.append(candidate)
    return result


def _nothing(paths: Sequence[Path]) -> str:
    places = ", ".join(str(path) for path in paths)
    listed = (file for path in paths if path.is_dir() for file in walk_files(path))
    if odd := unread_files(file for file in listed if not (is_image(file) or is_video(file))):
        return f"nothing that can be read: {Listing('images and videos', places, 0, odd).line}"
    return (
        f"no images or videos in {places}: looked for {', '.join(IMAGE_SUFFIXES + VIDEO_SUFFIXES)} at any "
        f"depth (the output folder does not count); give another folder"
    )
