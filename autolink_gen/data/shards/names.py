"""Shard names: patterns such as pics-{000..009}.tar, and addresses, expanded to tar files."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from autolink_gen.common.files import expand_user
from autolink_gen.data.folders import is_image, walk_files
from autolink_gen.data.identity import public_address
from autolink_gen.data.video.reader import is_video

COMPRESSED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_SUFFIXES = (".tar", *COMPRESSED_SUFFIXES)
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}")
MAX_SHARDS = 100_000


def is_shards(data: str | Path) -> bool:
    """Whether this names shards: an address, tar files, or, given as a path, a folder of tar files alone."""
    if isinstance(data, Path) and data.is_dir():
        has_shards = any(is_shard(path) for path in data.iterdir())
        return has_shards and not any(is_image(path) or is_video(path) for path in walk_files(data))
    return is_address(str(data)) or str(data).lower().endswith(_SUFFIXES)


def is_shard(path: Path) -> bool:
    """Whether the name is one of a tar file, compressed or not, that is not hidden."""
    return path.name.lower().endswith(_SUFFIXES) and not path.name.startswith(".") and path.is_file()


def is_address(name: str) -> bool:
    """Whether this is an address rather than a path."""
    return "://" in name


def list_shards(data: str | Path) -> list[str]:
    """The paths and addresses of the shards that `data` names, in order.

    `data` is a tar file, a folder of them, an http or https address, or a path or an address with braces, as in
    pics-{000..009}.tar or {a,b}.tar; the name of a file may have * and ?, too. Files and folders that are called
    just so go before patterns. A plus in an address is written %2B.

    Raises:
        ValueError: a shard is missing, nothing fits, or an address that is neither http nor https.
    """
    text = str(data)
    if is_address(text):
        _check_address(text)
        return expand_braces(text)
    path = expand_user(text)
    if path.is_dir():
        return [str(inside) for inside in sorted(path.iterdir()) if is_shard(inside)]
    if path.exists():
        return [str(path)]
    return _match_shards(text)


def is_there(data: str) -> bool:
    """Whether `data` is an existing path, or a pattern that matches local shards."""
    if is_address(data):  # whose parts may be longer than a system lets a file's name be
        return False
    path = expand_user(data)
    return path.exists() or (is_shards(data) and bool(_matches(next(_expand(str(path))))))


def _match_shards(text: str) -> list[str]:
    patterns = expand_braces(str(expand_user(text)))
    matches = [_matches(pattern) for pattern in patterns]
    missing = [pattern for pattern, paths in zip(patterns, matches, strict=True) if not paths]
    if missing:
        names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        shards = f"{len(missing)} of {len(patterns)} shards are" if len(patterns) > 1 else "the shard is"
        raise ValueError(f"--data {text}: {shards} missing ({names}); check the spelling and the folder")
    return [path for paths in matches for path in paths]


def _matches(pattern: str) -> list[str]:
    """The file of that name, or else those that fit its * and ?."""
    path = Path(pattern)
    return (
        [pattern] if path.is_file() else [str(file) for file in sorted(path.parent.glob(path.name)) if file.is_file()]
    )


def expand_braces(text: str) -> list[str]:
    """The names that braces stand for, as a shell has them: a{08..10} and a{x,y}, not one in another.

    Raises ValueError where they are more than 100,000.
    """
    names = list(islice(_expand(text), MAX_SHARDS + 1))
    if len(names) > MAX_SHARDS:
        raise ValueError(
            f"--data {public_address(text)} stands for more than {MAX_SHARDS:,} shards; name fewer, or their folder"
        )
    return names


def _expand(text: str) -> Iterator[str]:
    match = _BRACES.search(text)
    if match is None:
        yield text
        return
    first, last, listed = match.groups()
    for option in listed.split(",") if listed is not None else _numbers(first, last):
        yield from _expand(text[: match.start()] + option + text[match.end() :])


def _numbers(first: str, last: str) -> Iterator[str]:
    """From the first number to the last, up or down, as wide as the wider where one begins with a zero."""
    start, stop = int(first), int(last)
    padded = any(len(number) > 1 and number.startswith("0") for number in (first, last))
    width = max(len(first), len(last)) if padded else 0
    step = 1 if stop >= start else -1
    return (f"{number:0{width}d}" for number in range(start, stop + step, step))


def _check_address(text: str) -> None:
    scheme = text.partition("://")[0].lower()
    if scheme not in ("http", "https"):
        raise ValueError(
            f"--data {public_address(text)}: shards are fetched over http and https, not {scheme}; give such an "
            f"address, or copy them to this machine and give their folder"
        )
    if "*" in text:
        raise ValueError(
            f"--data {public_address(text)}: an address cannot hold *; name the shards, as in pics-{{000..009}}.tar"
        )


def absolute_name(data: str) -> str:
    """The name with its path from the root on; an address as it is."""
    return data if is_address(data) else str(expand_user(data).resolve())


def shards_label(data: str) -> list[str]:
    """The label of shards, after their folder's name where there is one: ["birds", "pics"]."""
    path = Path(urlsplit(data).path if is_address(data) else absolute_name(data))
    stem = re.split(r"[{*?\[]", path.name)[0]
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        stem = stem.removesuffix(suffix)
    parts = [re.sub(r"[^\w.-]", "-", part).strip("-_.") for part in (path.parent.name, stem)]
    return [part for part in parts if part] or ["shards"]
