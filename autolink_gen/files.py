"""Files that are whole or not there: written beside their target, read back, and only then given its name."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from autolink_gen.text import printable, shown

_REMEDY = "free some space or choose another --out"


class BadFileError(ValueError):
    """A file that cannot be read for what it should be; the message names it, the reason and the remedy."""


@contextmanager
def reading(name: str | Path, kind: str, *, remedy: str) -> Iterator[None]:
    """Make one BadFileError of whatever a parser raises over a file: "NAME is no readable KIND: why; REMEDY".

    A damaged or hostile file makes parsers raise anything at all, MemoryError and RecursionError included, and each
    kind of file has one net, which is this. A BadFileError passes as it is.
    """
    try:
        yield
    except BadFileError:
        raise
    except Exception as error:
        raise BadFileError(f"{printable(str(name))} is no readable {kind}: {reason_of(error)}; {remedy}") from error


def reason_of(error: BaseException) -> str:
    """What an error says, in one printable line: the system's words, or the first line, or else its kind."""
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, ValueError) and "set_int_max_str_digits" in str(error):  # advice to programmers
        return "a number in it has too many digits"
    kind = type(error).__name__
    if not lines or isinstance(error, LookupError):  # whose text may be a key alone
        return f"{kind}: {shown(lines[0])}" if lines else kind
    return shown(lines[0])


def expanded(path: str | Path) -> Path:
    """The path with ~ in the place of a home; ValueError for the home of a user whom the system does not know."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{shown(str(path))}: {error}; name the folder in full") from error


def check_free(*paths: Path, overwrite: bool, option: str = "--out") -> None:
    """ValueError where a file that is to be written is there already, unless it may be replaced.

    What is no ordinary file, a pipe or a terminal, is written into and stays. ``option`` is the one that names
    another place. Call it before anything that takes long.
    """
    taken = [path for path in paths if path.is_file()]
    if taken and not overwrite:
        more = f" (and {len(taken) - 1} more)" if len(taken) > 1 else ""
        raise ValueError(f"{taken[0]} is there already{more}: give another {option}, or --overwrite to replace it")


def write_atomically(
    path: Path,
    write: Callable[[Path], object],
    *,
    check: Callable[[Path], object],
    remedy: str = _REMEDY,
) -> None:
    """Write a file so that ``path`` holds either its old content or all of the new, whatever happens meanwhile.

    ``write`` fills a temporary file beside the target, which is synchronised to disk and read back by
    ``check`` before it takes the target's name. Raises OSError (a full disk, say) that ends with ``remedy``, with
    the target untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # a link that lies there would be written through
        write(temporary)
        sync_file(temporary)
        check(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    except (OSError, ValueError) as error:  # ValueError: what check says of a file that it cannot read
        raise OSError(f"could not write {path}: {error}; {remedy}") from error
    finally:
        temporary.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Make what was written to ``path`` survive a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a renaming in ``folder`` survive a power cut, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text_atomically(path: Path, text: str, *, remedy: str = _REMEDY) -> None:
    """Write a text file, in UTF-8, as :func:`write_atomically` does."""
    write_atomically(
        path,
        lambda target: target.write_text(text, encoding="utf-8"),
        check=lambda target: target.read_text(encoding="utf-8"),
        remedy=remedy,
    )


def write_picture(path: Path, picture: UInt8[np.ndarray, "H W 3"]) -> None:
    """Write a picture, in the format that the name's ending says, as :func:`write_atomically` does.

    Raises ValueError for an ending that is no picture's.
    """
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path} must end in .png, .jpg or another picture's ending")
    image = Image.fromarray(picture)
    options = {"compress_level": 3} if kind == "PNG" else {}
    write_atomically(
        path, lambda target: image.save(target, format=kind, **options), check=partial(_check_picture, kind=kind)
    )


def _check_picture(path: Path, *, kind: str) -> None:
    with Image.open(path, formats=(kind,)) as image:
        if kind == "PNG":
            try:
                image.verify()  # has sums over all of it: no second copy of a large picture is needed
            except SyntaxError as error:
                raise OSError(str(error)) from error
        else:
            image.load()
