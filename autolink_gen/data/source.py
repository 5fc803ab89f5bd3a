"""What `--data` names: opened once, and from there on an object that knows where its images are."""

import os
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.common.files import expanded
from autolink_gen.data.images import FIT
from autolink_gen.data.published.sets import PUPPETS, SETS
from autolink_gen.data.shards.names import is_address, is_shards, is_there
from autolink_gen.data.sources.base import Source
from autolink_gen.data.sources.folder import FolderSource
from autolink_gen.data.sources.mixture import MixtureSource
from autolink_gen.data.sources.named import NamedSource
from autolink_gen.data.sources.puppets import PuppetSource
from autolink_gen.data.sources.shards import ShardSource
from autolink_gen.data.video.clips import Clip


def open_source(data: str | Path, *, root: str | Path | None = None, classes: Sequence[str] = ()) -> Source:
    """What `data` names: a folder, shards (tar files, addresses), a set of `SETS`, the puppets, or several, as "A+B".

    A path that exists goes before a set, unless the text is just the name of one; a `Path` is always a path. `root` is
    where the named sets lie, see `data_root`. Of `classes` only the folders, inside the split's, are read. Nothing is
    read here, and a name that nothing has is refused when it is used.
    """
    text, classes = str(data), tuple(classes)
    if len(names := _names(data)) > 1:
        return MixtureSource(text, tuple(open_source(name, root=root, classes=classes) for name in names), classes)
    path = _existing_path(data)
    if is_shards(path or data):
        return ShardSource(text, classes, path)
    if path is not None:
        return FolderSource(text, classes)
    if text == PUPPETS:
        return PuppetSource(text, classes)
    return NamedSource(text, classes, None if root is None else Path(root))


def _names(data: str | Path) -> list[str]:
    """The names in "A+B"; a folder, or shards, with a plus in its own name is one."""
    if isinstance(data, Path) or is_there(data):
        return [str(data)]
    names = [name.strip() for name in data.split("+")]
    return names if all(names) else [data]


def _existing_path(data: str | Path) -> Path | None:
    """The path that `data` names; None where it is the name of a set, or nothing is there."""
    text = str(data)
    path = expanded(text)
    looks_like_path = isinstance(data, Path) or any(mark in text for mark in ("/", os.sep)) or text[:1] in ".~"
    return path if not is_address(text) and path.exists() and (looks_like_path or text not in SETS) else None


# ---- for callers that have a name still ----


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
    """The images of a split."""
    return open_source(data, root=root, classes=classes).images(split, size=image_size, fit=fit, seed=seed)


def open_clips(
    data: str | Path, *, root: Path | None = None, split: str = "train", image_size: int, seed: int = 0
) -> list[Clip]:
    """The clips of a split."""
    return open_source(data, root=root).clips(split, size=image_size, seed=seed)


def open_held_out(
    data: str | Path, *, root: Path | None = None, image_size: int, fit: FIT = "crop", classes: Sequence[str] = ()
) -> Dataset[Tensor] | None:
    """The images that training does not see."""
    return open_source(data, root=root, classes=classes).held_out(size=image_size, fit=fit)


def holds_clips_out(data: str | Path, *, root: Path | None = None) -> bool:
    """Whether there are clips that training does not see."""
    return open_source(data, root=root).holds_clips_out()


def find_pictures(data: str | Path, *, root: Path | None = None, split: str = "train") -> Path:
    """The folder of a split."""
    return open_source(data, root=root).folder(split)


def parts_of(data: str | Path) -> list[str | Path]:
    """The names in "A+B"."""
    return [part.text for part in open_source(data).parts]


def own_path(data: str | Path) -> Path | None:
    """The path of the user's."""
    return _existing_path(data)


def has_shards(data: str | Path) -> bool:
    """Whether the data are shards."""
    return isinstance(open_source(data), ShardSource)
