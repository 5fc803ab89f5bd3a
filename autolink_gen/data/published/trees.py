"""Trees of files in words: what a set should look like, and what is there."""

from collections.abc import Callable, Sequence
from pathlib import Path

from autolink_gen.common.lines import LinesError
from autolink_gen.common.text import printable

_SHOWN = 6


def missing_from(home: Path, tree: Sequence[str], located: Callable[[Path, str], Path]) -> list[str]:
    """The lines of a tree that a folder lacks; marks of "<" and "*" stand for any name."""
    return [line for line in tree if not located(home, _fixed(line)).exists()]


def tree_error(
    name: str,
    trees: Sequence[Sequence[str]],
    home: Path,
    located: Callable[[Path, str], Path],
    *,
    homes: Sequence[str],
) -> LinesError:
    """What a set should look like, in each of its forms, what is missing of the nearest, and what there is.

    ``homes`` are the names that the set's folder may have, the usual one first; ``home`` is one of these, or the
    folder above.
    """
    top = home.name if home.name in homes else f"{home.name}/{homes[0]}"
    nearest = min(reversed(trees), key=lambda tree: len(missing_from(home, tree, located)) / len(tree))
    missing = missing_from(home, nearest, located)
    more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
    forms = [line for tree in trees for line in ("or:", *(f"  {top}/{line}" for line in shortened(tree)))][1:]
    named = [f"the folder may be called {', '.join(homes)}"] if len(homes) > 1 else []
    above = (home / _fixed(missing[0])).parent
    folders = [path for path in home.iterdir() if path.is_dir()]
    if above == home and len(folders) == 1:  # an archive unpacked into a folder of its name, perhaps
        above = folders[0]
    inside = found_lines(above, top=home) if above != home and above.is_dir() else []
    return LinesError(
        f"{home} does not hold {name} as it is published: {_fixed(missing[0])} is missing{more}; "
        f"`autolink-gen data info {name}` says where to get it",
        *("expected:", *forms, *named),
        *("found:", *found_lines(home), *inside),
    )


def shortened(tree: Sequence[str], *, limit: int = 12) -> list[str]:
    """The first lines of a tree, and how many more there are."""
    if len(tree) <= limit:
        return list(tree)
    return [*tree[: limit - 1], f"... and {len(tree) - limit + 1} more like these"]


def found_lines(folder: Path, *, top: Path | None = None, limit: int = _SHOWN) -> list[str]:
    """What is in a folder, a line each, folders with a slash; named from ``top`` on, a folder above, where given.

    Names are printable, and none takes two lines.
    """
    inside = sorted(folder.iterdir())
    name = folder.relative_to((top or folder).parent).as_posix()
    lines = [f"  {name}/{path.name}{'/' if path.is_dir() else ''}" for path in inside[:limit]]
    if len(inside) > limit:
        lines.append(f"  ... and {len(inside) - limit} more")
    return [printable(line) for line in lines or [f"  {name}/ is empty"]]


def _fixed(line: str) -> str:
    """The part of a line before the first mark."""
    parts = line.split("/")
    marks = [index for index, part in enumerate(parts) if "<" in part or "*" in part]
    return "/".join(parts[: marks[0]] if marks else parts)
