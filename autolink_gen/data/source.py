"""Opens what `--data` names, once, as a `Source`."""

import os
from collections.abc import Sequence
from pathlib import Path

from autolink_gen.common.files import expand_user
from autolink_gen.data.published.sets import PUPPETS, SETS
from autolink_gen.data.shards.names import is_address, is_shards, is_there
from autolink_gen.data.sources.base import Source
from autolink_gen.data.sources.folder import FolderSource
from autolink_gen.data.sources.mixture import MixtureSource
from autolink_gen.data.sources.named import NamedSource
from autolink_gen.data.sources.puppets import PuppetSource
from autolink_gen.data.sources.shards import ShardSource


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
    path = expand_user(text)
    looks_like_path = isinstance(data, Path) or any(mark in text for mark in ("/", os.sep)) or text[:1] in ".~"
    return path if not is_address(text) and path.exists() and (looks_like_path or text not in SETS) else None
