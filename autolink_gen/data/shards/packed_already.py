"""Comparison of existing shards with the images to pack, so that repeating changes nothing."""

from collections.abc import Callable, Sequence
from pathlib import Path

from autolink_gen.common.files import BadFileError
from autolink_gen.data.shards.reader import Member, read_members


def are_packed(
    images: Sequence[tuple[str, Path]],
    shards: Sequence[Path],
    *,
    per_shard: int | None,
    is_bad: Callable[[Path], bool],
) -> bool:
    """Whether `shards` hold `images`, each the name in a shard and its file: so many in each, none changed since.

    `is_bad` says of an image that is in none of them whether it cannot be read, and is left out for that.
    """
    try:
        members = [read_members(shard, name=str(shard)) for shard in shards]
        packed_ns = min(shard.stat().st_mtime_ns for shard in shards)
        full = members if per_shard is None else members[:-1]
        if per_shard is not None and any(len(one) != per_shard for one in full):
            return False
        missing = _missing([member for one in members for member in one], images, packed_ns)
    except (BadFileError, OSError):
        return False
    return missing is not None and all(map(is_bad, missing))


def _missing(members: Sequence[Member], images: Sequence[tuple[str, Path]], packed_ns: int) -> list[Path] | None:
    """The images that are no member; None where a member is no image, or was changed after it was packed."""
    left, missing = list(reversed(members)), list[Path]()
    for name, path in images:
        found = path.stat()
        if left and left[-1].name == name and left[-1].size == found.st_size and found.st_mtime_ns <= packed_ns:
            left.pop()
        else:
            missing.append(path)
    return None if left else missing
