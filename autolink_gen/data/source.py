"""The named data sets: where the pictures of each lie, and how a name or a folder becomes a data set."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import platformdirs
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from autolink_gen.common.files import expanded
from autolink_gen.common.lines import LinesError
from autolink_gen.common.text import typed
from autolink_gen.data.folders import check_folder, is_image, walk_files
from autolink_gen.data.found import found_clips, tell
from autolink_gen.data.identity import public_address
from autolink_gen.data.image_folder import ImageFolder
from autolink_gen.data.images import FIT, check_fit
from autolink_gen.data.mixture import Mixture
from autolink_gen.data.published.prepare import PREPARED, find_layout, is_prepared
from autolink_gen.data.published.sets import SETS, Embedded, PictureSet, unknown_set
from autolink_gen.data.published.trees import found_lines
from autolink_gen.data.puppets.dataset import Puppets, Split
from autolink_gen.data.shards.names import is_address, is_shards, is_there
from autolink_gen.data.shards.reader import open_shards
from autolink_gen.data.video.clips import Clip, FrameFolder, PuppetClip, list_clips
from autolink_gen.data.video.frame_pairs import FrameDraws
from autolink_gen.data.video.reader import is_video
from autolink_gen.recipes import read_settings

ROOT_VARIABLE = "AUTOLINK_GEN_DATA"
SPLITS = ("train", "test", "fit")
HELD_OUT_NAMES = ("test", "val")  # what a folder beside train is called


PUPPET_CLIPS = {"train": 1000, "test": 50}


def open_dataset(
    data: str | Path,
    *,
    root: Path | None = None,
    split: str = "train",
    image_size: int,
    fit: FIT = "crop",
    seed: int = 0,
    classes: Sequence[str] = (),
) -> Dataset[Tensor]:
    """Open a data set by its name in `SETS` ("afhq/cat" for one class of it), by its folder, or by its shards.

    "A+B" opens both, and gives as many pictures of the one as of the other.

    Items are uint8 tensors (3, image_size, image_size), RGB. Of videos, where there are no pictures, frames are
    drawn at random. `seed` matters only to what is drawn, `fit` only to files. `root` is where the named sets lie;
    see `data_root`. With `classes` only the folders of those names, inside the split's, are read. How many were
    found, and what lies beside them and is left out, is logged.

    Raises:
        ValueError: no such set or folder, no pictures in it, or a layout other than the set's.
    """
    check_fit(fit)
    _check_split(split)
    if len(names := parts_of(data)) > 1:
        several = [
            open_dataset(name, root=root, split=split, image_size=image_size, fit=fit, seed=seed, classes=classes)
            for name in names
        ]
        return Mixture(several)
    if has_shards(data):
        shards = open_shards(own_path(data) or data, image_size=image_size, fit=fit, classes=classes)
        tell(shards.found)
        return shards
    if isinstance(SETS.get(str(data)), Embedded):
        if classes:
            raise ValueError(f"{data} has no classes; leave --classes out")
        return Puppets(image_size=image_size, seed=seed, split="train" if split == "train" else "test")
    folder = find_pictures(data, root=root, split=split)
    parts = [_part_of_set(folder, name) for name in classes] or [folder]
    if _has_videos_alone(parts):
        clips = [clip for part in parts for clip in _told_clips(part)]
        return FrameDraws(clips, image_size=image_size, frames=1, fit=fit, seed=seed)
    opened = [ImageFolder(part, image_size=image_size, fit=fit) for part in parts]
    for pictures in opened:
        tell(pictures.found)
    return opened[0] if len(opened) == 1 else ConcatDataset(opened)


def open_clips(
    data: str | Path, *, root: Path | None = None, split: str = "train", image_size: int, seed: int = 0
) -> list[Clip]:
    """The clips of a data set by its name in `SETS` or by its folder, or of several, as in "A+B".

    They are videos, folders of frames, or puppets.
    `seed` and `image_size` (pixels) matter only to puppets.

    Raises:
        ValueError: no such set or folder, no clips in it, or a layout other than the set's.
    """
    if len(names := parts_of(data)) > 1:
        return [
            clip
            for name in names
            for clip in open_clips(name, root=root, split=split, image_size=image_size, seed=seed)
        ]
    if isinstance(SETS.get(str(data)), Embedded):
        _check_split(split)
        part: Split = "train" if split == "train" else "test"
        return [PuppetClip(index, seed=seed, size=image_size, split=part) for index in range(PUPPET_CLIPS[part])]
    return _told_clips(find_pictures(data, root=root, split=split))


def open_held_out(
    data: str | Path,
    *,
    root: Path | None = None,
    image_size: int,
    fit: FIT = "crop",
    classes: Sequence[str] = (),
) -> Dataset[Tensor] | None:
    """The pictures of a data set that training on it does not see, or None where it has no such part.

    They are the set's test split, or the folder test or val beside a folder of the user's that is called train.
    Of "A+B", where each holds some out, they are both's.
    """
    if len(names := parts_of(data)) > 1:
        several = [open_held_out(name, root=root, image_size=image_size, fit=fit, classes=classes) for name in names]
        return Mixture([part for part in several if part is not None]) if None not in several else None
    if has_shards(data):
        return None
    if not isinstance(SETS.get(str(data)), Embedded):
        train, test = (find_pictures(data, root=root, split=split) for split in ("train", "test"))
        if train == test:
            beside = held_out_beside(train)
            if beside is None:
                return None
            data = beside
    return open_dataset(data, root=root, split="test", image_size=image_size, fit=fit, classes=classes)


def holds_clips_out(data: str | Path, *, root: Path | None = None) -> bool:
    """Whether a data set of clips has a part that training on it does not see; of "A+B", whether one has."""
    return any(
        isinstance(SETS.get(str(part)), Embedded)
        or find_pictures(part, root=root, split="train") != find_pictures(part, root=root, split="test")
        for part in parts_of(data)
    )


def held_out_beside(folder: Path) -> Path | None:
    """The folder test or val beside one called train; None where there is none."""
    folder = folder.absolute()
    names = HELD_OUT_NAMES if folder.name == "train" else ()
    return next((folder.parent / name for name in names if (folder.parent / name).is_dir()), None)


def find_pictures(data: str | Path, *, root: Path | None = None, split: str = "train") -> Path:
    """The folder that holds a split's pictures, for a name in `SETS` or a folder of the user's.

    A folder of the user's that holds `train` and one of `test`, `val` is split so; any other is used whole
    for every split.

    Raises:
        ValueError: no such set or folder, a set without files, or a layout other than the set's.
    """
    _check_split(split)
    text = str(data)
    if has_shards(data):
        raise ValueError(
            f"--data {public_address(text)} names shards, which hold pictures, not clips or landmarks; give a folder"
        )
    own = own_path(data)
    if own is not None:
        return _split_of_folder(check_folder(own), split)
    name, _, part = text.partition("/")
    entry = SETS.get(name)
    if entry is None:
        raise ValueError(f"--data {unknown_set(text)}")
    if isinstance(entry, Embedded):
        raise ValueError(f"{text!r} has no folder: {name} is {entry.about}")
    return _part_of_set(_find_set(name, entry, root=root, split=split), part)


def parts_of(data: str | Path) -> list[str | Path]:
    """The data sets and folders that "A+B" names; a folder, or shards, with a plus in its own name is one."""
    if isinstance(data, Path) or is_there(data):
        return [data]
    parts = [part.strip() for part in data.split("+")]
    return [*parts] if all(parts) else [data]


def own_path(data: str | Path) -> Path | None:
    """The path of the user's that `data` names; None where it is the name of a set, or nothing is there."""
    text = str(data)
    path = expanded(text)
    looks_like_path = isinstance(data, Path) or any(mark in text for mark in ("/", os.sep)) or text[:1] in ".~"
    return path if not is_address(text) and path.exists() and (looks_like_path or text not in SETS) else None


def has_shards(data: str | Path) -> bool:
    """Whether `data` names shards: tar files, addresses, or a folder of the user's with nothing else in it."""
    return is_shards(own_path(data) or data)


def data_root(root: Path | None = None) -> tuple[Path, str] | None:
    """Where the named sets lie, and who says so: `root`, the environment or the settings; None if nobody.

    Raises:
        ValueError: the settings cannot be read.
    """
    if root is not None:
        return expanded(root), "--data-root"
    if os.environ.get(ROOT_VARIABLE):
        return expanded(os.environ[ROOT_VARIABLE]), f"the variable {ROOT_VARIABLE}"
    settings = settings_file()
    if not settings.is_file():
        return None
    content = read_settings(settings) if settings.stat().st_size else {}
    if not isinstance(content.get("data_root", ""), str):
        raise ValueError(f"{settings} must hold a line such as `data_root: /path/to/data`; correct or remove it")
    found = content.get("data_root")
    return (expanded(found), str(settings)) if found else None


def settings_file() -> Path:
    """The user's settings, a YAML file that may not exist."""
    return platformdirs.user_config_path("autolink-gen") / "config.yaml"


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}")


def _split_of_folder(folder: Path, split: str) -> Path:
    train = folder / "train"
    test = next((folder / name for name in HELD_OUT_NAMES if (folder / name).is_dir()), None)
    if test is None or not train.is_dir():
        return folder
    return test if split == "test" else train


def existing_root(name: str, root: Path | None = None, *, make: bool = False) -> Path:
    """The data root, for a set of that name; ValueError where nothing names one or, but to `make` it, none is there."""
    located = data_root(root)
    if located is None:
        raise ValueError(
            f"--data {name} is a set of files and nothing says where they are; give --data-root DIR, the "
            f"folder that holds {name}/, or set {ROOT_VARIABLE}, or write "
            f"`data_root: DIR` in {settings_file()}"
        )
    base, source = located
    if not base.is_dir() and not make:
        raise ValueError(f"the data root {base} (from {source}) is no folder; give the folder that holds {name}/")
    return base


def _find_set(name: str, entry: PictureSet, *, root: Path | None, split: str) -> Path:
    base = existing_root(name, root)
    prepared = base / PREPARED / name / split
    if prepared.is_dir() and is_prepared(name, base):
        return prepared
    if not entry.train:
        return _not_prepared(name, entry, base, split)
    homes = [base / folder for folder in (name, *entry.homes)]
    for home in (*homes, base):
        # Any folder of folders looks like a set whose clips lie right in it: ask for its name as well.
        named = home.resolve().name.lower().startswith(tuple(map(str.lower, (name, *entry.homes))))
        for candidate in entry.candidates(split):
            if (named or candidate != ".") and _has_files(home / candidate, entry):
                return home / candidate
    found = next((home for home in homes if home.is_dir()), base)
    raise LinesError(
        f"{base} (from {_source(root)}) does not hold {name} in the form it should have; move the files or give "
        f"another --data-root",
        f"expected (any kind of {'video' if entry.videos else 'picture'} will do):",
        *expected_tree(entry, split, name=name).split("\n"),
        *("found:", *found_lines(found)),
    )


def _source(root: Path | None) -> str:
    located = data_root(root)
    assert located is not None
    return located[1]


def _not_prepared(name: str, entry: PictureSet, base: Path, split: str) -> Path:
    """The folder that stands in for a part that is no part of its own; ValueError where nothing is made ready."""
    train = base / PREPARED / name / "train"
    if split == "fit" and train.is_dir() and is_prepared(name, base):
        return train
    find_layout(name, entry, base)  # which shows both trees where the set is not there at all
    raise ValueError(
        f"--data {name} is made ready first, to the end: type "
        f"`autolink-gen data prepare {name} --data-root {typed(base)}`"
    )


def _told_clips(folder: Path) -> list[Clip]:
    """The clips below a folder; logs how many there are, and what else is there."""
    clips = list_clips(folder)
    of_frames = {clip.folder for clip in clips if isinstance(clip, FrameFolder)}
    others = (
        path for path in walk_files(folder) if not is_video(path) and not (is_image(path) and path.parent in of_frames)
    )
    tell(found_clips(folder, len(clips), others))
    return clips


def _has_videos_alone(folders: Sequence[Path]) -> bool:
    files = [path for folder in folders for path in walk_files(folder)]
    return any(map(is_video, files)) and not any(map(is_image, files))


def _has_files(folder: Path, entry: PictureSet) -> bool:
    fits = is_video if entry.videos else is_image
    return folder.is_dir() and any(fits(path) for path in folder.glob("*/" * entry.depth + "*"))


def expected_tree(entry: PictureSet, split: str, *, name: str = "") -> str:
    """The folders that a split of a set may lie in, a line each, below the folder `name` where one is given."""
    level = f"<{entry.level}>/" * entry.depth
    folders = ("" if candidate == "." else f"{candidate}/" for candidate in entry.candidates(split))
    home = f"{name}/" if name else ""
    return "\n".join(f"  {home}{folder}{level}*.{'mp4' if entry.videos else 'jpg'}" for folder in folders)


def _part_of_set(folder: Path, part: str) -> Path:
    if not part or (folder / part).is_dir():
        return folder / part
    parts: list[Any] = sorted(path.name for path in folder.iterdir() if path.is_dir())
    raise ValueError(f"{folder} has no {part!r}; it has {', '.join(parts) or 'no folders'}")
