"""The data root and the folders of named sets in it."""

import os
from pathlib import Path

import platformdirs

from autolink_gen.common.files import expand_user
from autolink_gen.common.lines import LinesError
from autolink_gen.common.text import typed
from autolink_gen.data.folders import is_image
from autolink_gen.data.published.prepare import PREPARED, find_layout, is_prepared
from autolink_gen.data.published.sets import ImageSet
from autolink_gen.data.published.trees import found_lines
from autolink_gen.data.video.reader import is_video
from autolink_gen.recipes import read_settings

ROOT_VARIABLE = "AUTOLINK_GEN_DATA"


def data_root(root: Path | None = None) -> tuple[Path, str] | None:
    """The data root and where it is configured: `root`, the environment or the settings; None if nowhere.

    Raises:
        ValueError: the settings cannot be read.
    """
    if root is not None:
        return expand_user(root), "--data-root"
    if os.environ.get(ROOT_VARIABLE):
        return expand_user(os.environ[ROOT_VARIABLE]), f"the variable {ROOT_VARIABLE}"
    settings = settings_file()
    if not settings.is_file():
        return None
    content = read_settings(settings) if settings.stat().st_size else {}
    if not isinstance(content.get("data_root", ""), str):
        raise ValueError(f"{settings} must hold a line such as `data_root: /path/to/data`; correct or remove it")
    folder = content.get("data_root")
    return (expand_user(folder), str(settings)) if folder else None


def settings_file() -> Path:
    """The user's settings, a YAML file that may not exist."""
    return platformdirs.user_config_path("autolink-gen") / "config.yaml"


def existing_root(name: str, root: Path | None = None, *, make: bool = False) -> tuple[Path, str]:
    """The data root for the set `name`, and where it is configured.

    Raises:
        ValueError: nothing names one, or there is no such folder and `make` is False.
    """
    root_and_source = data_root(root)
    if root_and_source is None:
        raise ValueError(
            f"--data {name} is a set of files and nothing says where they are; give --data-root DIR, the "
            f"folder that holds {name}/, or set {ROOT_VARIABLE}, or write "
            f"`data_root: DIR` in {settings_file()}"
        )
    base, named_by = root_and_source
    if not base.is_dir() and not make:
        raise ValueError(f"the data root {base} (from {named_by}) is no folder; give the folder that holds {name}/")
    return base, named_by


def folder_of_set(name: str, entry: ImageSet, *, root: Path | None, split: str) -> Path:
    """The folder of a split of a named set.

    Raises:
        ValueError: there is no data root, the set is not in it in one of its forms, or is not prepared yet.
    """
    base, named_by = existing_root(name, root)
    prepared = base / PREPARED / name / split
    if prepared.is_dir() and is_prepared(name, base):
        return prepared
    if not entry.train:
        return _training_folder(name, entry, base, split)
    homes = [base / folder for folder in (name, *entry.homes)]
    for home in (*homes, base):
        # Any folder of folders looks like a set whose clips lie right in it: ask for its name as well.
        has_name = home.resolve().name.lower().startswith(tuple(map(str.lower, (name, *entry.homes))))
        for candidate in entry.candidates(split):
            if (has_name or candidate != ".") and _has_files(home / candidate, entry):
                return home / candidate
    raise LinesError(
        f"{base} (from {named_by}) does not hold {name} in the form it should have; move the files or give "
        f"another --data-root",
        f"expected (any kind of {'video' if entry.videos else 'image'} will do):",
        *expected_tree(entry, split, name=name).split("\n"),
        *("found:", *found_lines(next((home for home in homes if home.is_dir()), base))),
    )


def _training_folder(name: str, entry: ImageSet, base: Path, split: str) -> Path:
    """The training split, in place of a fit split that the set lacks; ValueError where nothing is prepared."""
    train = base / PREPARED / name / "train"
    if split == "fit" and train.is_dir() and is_prepared(name, base):
        return train
    find_layout(name, entry, base)  # which shows both trees where the set is not there at all
    raise ValueError(
        f"--data {name} is made ready first, to the end: type "
        f"`autolink-gen data prepare {name} --data-root {typed(base)}`"
    )


def _has_files(folder: Path, entry: ImageSet) -> bool:
    fits = is_video if entry.videos else is_image
    return folder.is_dir() and any(fits(path) for path in folder.glob("*/" * entry.depth + "*"))


def expected_tree(entry: ImageSet, split: str, *, name: str = "") -> str:
    """The folders that may hold a split of a set, one a line, below the folder `name` where given."""
    level = f"<{entry.level}>/" * entry.depth
    folders = ("" if candidate == "." else f"{candidate}/" for candidate in entry.candidates(split))
    home = f"{name}/" if name else ""
    return "\n".join(f"  {home}{folder}{level}*.{'mp4' if entry.videos else 'jpg'}" for folder in folders)


def subfolder(folder: Path, name: str) -> Path:
    """The subfolder `name`, or the folder itself for ""; ValueError, which lists all, where it is missing."""
    if not name or (folder / name).is_dir():
        return folder / name
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    raise ValueError(f"{folder} has no {name!r}; it has {', '.join(names) or 'no folders'}")
