"""File trees in messages: the expected ones, and what is there."""

from collections.abc import Callable, Sequence
from pathlib import Path

from autolink_gen.common.lines import LinesError
from autolink_gen.common.text import printable

_SHOWN = 6


def missing_from(home: Path, tree: Sequence[str], find_file: Callable[[Path, str], Path]) -> list[str]:
    """The lines of a tree that a folder lacks; marks of "<" and "*" stand for any name."""
    return [line for line in tree if not find_file(home, _before_wildcard(line)).exists()]


def tree_error(
    name: str,
    trees: Sequence[Sequence[str]],
    home: Path,
    find_file: Callable[[Path, str], Path],
    *,
    homes: Sequence[str],
) -> LinesError:
    """The error for a set with missing files: each expected tree, the first missing file, what is there.

    ``homes`` are the names that the set's folder may have, the usual one first; ``home`` is one of these, or the
    folder above.
    """
    top = home.name if home.name in homes else f"{home.name}/{homes[0]}"
    nearest = min(reversed(trees), key=lambda tree: len(missing_from(home, tree, find_file)) / len(tree))
    missing = missing_from(home, nearest, find_file)
    more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
    forms = [line for tree in trees for line in ("or:", *(f"  {top}/{line}" for line in shorten_tree(tree)))][1:]
    folder_names = [f"the folder may be called {', '.join(homes)}"] if len(homes) > 1 else []
    above = (home / _before_wildcard(missing[0])).parent
    folders = [path for path in home.iterdir() if path.is_dir()]
    if above == home and len(folders) == 1:  # an archive unpacked into a folder of its name, perhaps
        above = folders[0]
    inside = found_lines(above, top=home) if above != home and above.is_dir() else []
    return LinesError(
        f"{home} does not hold {name} as it is published: {_before_wildcard(missing[0])} is missing{more}; "
        f"`autolink-gen data info {name}` says where to get it",
        *("expected:", *forms, *folder_names),
        *("found:", *found_lines(home), *inside),
    )


def shorten_tree(tree: Sequence[str], *, limit: int = 12) -> list[str]:
    """The first lines of a tree, and how many more there are."""
    if len(tree) <= limit:
        return list(tree)
    return [*tree[: limit - 1], f"... and {len(tree) - limit + 1} more like these"]


def found_lines(folder: Path, *, top: Path | None = None, limit: int = _SHOWN) -> list[str]:
    """The content of a folder, one a line, folders with a slash; names begin at ``top``, a folder above, if given.

    Names are printable, and none takes two lines.
    """
    inside = sorted(folder.iterdir())
    name = folder.relative_to((top or folder).parent).as_posix()
    lines = [f"  {name}/{path.name}{'/' if path.is_dir() else ''}" for path in inside[:limit]]
    if len(inside) > limit:
        lines.append(f"  ... and {len(inside) - limit} more")
    return [printable(line) for line in lines or [f"  {name}/ is empty"]]


def _before_wildcard(line: str) -> str:
    """The path of a line before its first wildcard."""
    parts = line.split("/")
    marks = [index for index, part in enumerate(parts) if "<" in part or "*" in part]
    return "/".join(parts[: marks[0]] if marks else parts)
