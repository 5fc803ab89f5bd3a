"""Atomic file writing, and readable errors for damaged files."""

import errno
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from autolink_gen.common.streams import is_stream, pour
from autolink_gen.common.text import printable, shown

_REMEDY = "free some space or choose another --out"
_MAX_NAME_BYTES = 255
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}  # of file systems that synchronise no folders
_IS_WINDOWS = os.name == "nt"
_PAUSES_S = (0.05, 0.1, 0.2, 0.4)


class BadFileError(ValueError):
    """A file that is damaged or of another kind; names the file, the reason, the remedy."""


@contextmanager
def reading(name: str | Path, kind: str, *, remedy: str) -> Iterator[None]:
    """Turn whatever a parser raises into one BadFileError.

    It reads "NAME is no readable KIND: why; REMEDY".

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
    """An error's message as one printable line, or its type if it has none."""
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(message := getattr(error, "strerror", None), str):  # of the system's errors, and FFmpeg's
        return message
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, ValueError) and "set_int_max_str_digits" in str(error):  # advice to programmers
        return "a number in it has too many digits"
    kind = type(error).__name__
    if not lines or isinstance(error, LookupError):  # whose text may be a key alone
        return f"{kind}: {shown(lines[0])}" if lines else kind
    return shown(lines[0])


def expand_user(path: str | Path) -> Path:
    """The path with ~ expanded; ValueError for an unknown user's home."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{shown(str(path))}: {error}; name the folder in full") from error


def check_free(*paths: Path, overwrite: bool, option: str = "--out") -> None:
    """Raise ValueError for output files that exist already or cannot be written.

    What is no ordinary file, a pipe or a terminal, is written into and stays; a link stays too, and where it leads to
    nothing there is nothing to lose. ``option`` is the one that names another place. Call it before anything that
    takes long.
    """
    existing = []
    for path in paths:
        if is_stream(path):
            continue
        if path.is_dir():
            raise ValueError(f"{path} is a folder, and a file is to have that name: give another {option}")
        if path.is_symlink() and Path(os.path.realpath(path)).is_symlink():
            raise ValueError(f"{path} is a link that leads to itself: remove it, or give another {option}")
        if path.is_file():
            existing.append(path)
        else:
            _check_parent(path, option)
    if existing and not overwrite:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise ValueError(f"{existing[0]} is there already{more}: give another {option}, or --overwrite to replace it")


def _check_parent(path: Path, option: str) -> None:
    for parent in path.parents:
        if parent.is_dir():
            return
        if os.path.lexists(parent) and not parent.is_symlink():
            raise ValueError(f"{path} cannot be written: {parent} is a file and no folder; give another {option}")


def temporary_beside(path: Path, *, part: str = "") -> Path:
    """The temporary name of a file being written: ".NAME.PID.tmp" beside it.

    It is cut to the length that systems take, and has no bytes that are no UTF-8, which libraries
    stumble over. ``part`` stands behind the name, where a process writes two for one file.
    """
    end = f"{part}.{os.getpid()}.tmp"
    name = os.fsencode(path.name).decode("utf-8", "backslashreplace").replace("\\", "_")
    if name != path.name or len(os.fsencode(name)) + len(end) >= _MAX_NAME_BYTES:
        mark = f"~{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]}"  # tells those apart that begin alike
        room = _MAX_NAME_BYTES - 1 - len(end) - len(mark)
        name = os.fsencode(name)[:room].decode("utf-8", "ignore") + mark
    return path.with_name(f".{name}{end}")


def aside_of(path: Path, *, keep_ending: bool = False) -> Path:
    """The first free name for moving a file aside: NAME.old1, or STEM.old1.ENDING."""
    stem, ending = (path.stem, path.suffix) if keep_ending else (path.name, "")
    names = (path.with_name(f"{stem}.old{number}{ending}") for number in range(1, 10**6))
    return next(name for name in names if not os.path.lexists(name))


def fitting_name(stem: str, ending: str) -> str:
    """A file name cut to the length that systems take, its ending kept."""
    while len(os.fsencode(stem + ending)) > _MAX_NAME_BYTES:
        stem = stem[:-1]
    return stem + ending


class UnfinishedFile:
    """A file written under a temporary name until it is whole.

    With ``follow_links``, for names that users give, a link stays and the file that it leads to is replaced; what is no
    ordinary file, a pipe or a terminal, is written into, and "-" is the standard output. Without it whatever has the
    name is replaced, for a folder that is a stranger's may hold links to anywhere. A file that is replaced passes on
    its mode.
    """

    def __init__(self, path: Path, *, follow_links: bool = True, part: str = "") -> None:
        self.path = path
        self.is_stream = follow_links and is_stream(path)
        self._target = _behind_links(path) if follow_links and not self.is_stream else path
        self._folder: Path | None = None
        if self.is_stream:
            self._folder = Path(tempfile.mkdtemp(prefix="autolink-gen-"))
            self.temporary = self._folder / "content"
        else:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            self.temporary = temporary_beside(self._target, part=part)
            self.temporary.unlink(missing_ok=True)  # a link that lies there would be written through

    def keep(self, check: Callable[[Path], object] = Path.stat, *, sync: bool = True) -> None:
        """Sync the file, read it back with ``check``, and rename it; OSError if it fails."""
        if self.is_stream:
            check(self.temporary)
            pour(self.temporary, self.path)
            return
        if sync:
            sync_file(self.temporary)
        check(self.temporary)
        with suppress(FileNotFoundError):
            self.temporary.chmod(stat.S_IMODE(self._target.stat().st_mode))
        _put_in_place(self.temporary, self._target)
        if sync:
            sync_folder(self._target.parent)

    def discard(self) -> None:
        """Remove the temporary file, if it was not kept."""
        with suppress(NotADirectoryError):  # where its folder is none, the error that tells so goes on
            self.temporary.unlink(missing_ok=True)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _behind_links(path: Path) -> Path:
    """The target of a link, which need not exist; OSError for a circular link."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def _put_in_place(temporary: Path, target: Path) -> None:
    """Rename over the target; on Windows retry for a second, while readers hold it."""
    for pause_s in _PAUSES_S if _IS_WINDOWS and not target.is_dir() else ():
        try:
            temporary.replace(target)
        except PermissionError:
            time.sleep(pause_s)
        else:
            return
    temporary.replace(target)


@contextmanager
def whole(
    path: Path,
    *,
    check: Callable[[Path], object] = Path.stat,
    remedy: str = _REMEDY,
    follow_links: bool = False,
    sync: bool = True,
) -> Iterator[Path]:
    """A temporary file to write in the block, which then replaces ``path`` atomically.

    ``path`` holds either its old content or all of the new, whatever happens meanwhile: the temporary file lies beside
    it, is brought to the disk (without ``sync`` it would not survive a power cut) and read back by ``check`` before it
    takes the name. ``follow_links``: see :class:`UnfinishedFile`. Raises OSError (a full disk, say) that ends with
    ``remedy``, or with what else helps, with ``path`` untouched.
    """
    unfinished = None
    try:
        unfinished = UnfinishedFile(path, follow_links=follow_links)
        yield unfinished.temporary
        unfinished.keep(check, sync=sync)
    except BrokenPipeError:  # nobody reads it any more
        raise
    except (OSError, ValueError) as error:  # ValueError: what check says of a file that it cannot read
        raise OSError(f"could not write {path}: {reason_of(error)}; {remedy_for(error, path, remedy)}") from error
    finally:
        if unfinished is not None:
            unfinished.discard()


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path``, removed at the end of the block."""
    temporary = temporary_beside(path)
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed and had the same number
    try:
        temporary.mkdir(parents=True)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remedy_for(error: BaseException, path: Path, remedy: str = _REMEDY) -> str:
    """The advice for an error in writing ``path``: ``remedy``, or a better one."""
    if isinstance(error, IsADirectoryError) or path.is_dir():
        return "a folder has that name: move it away, or choose another name"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "a file stands where a folder is needed: choose another place"
    if isinstance(error, PermissionError) or getattr(error, "errno", None) == errno.EROFS:
        return "see that you may write there, or choose another place"
    if getattr(error, "errno", None) == errno.ENAMETOOLONG:
        return "choose a shorter name"
    if getattr(error, "errno", None) == errno.EFBIG:
        return "the disk or a limit of yours (ulimit -f) takes no file so large: choose another place"
    return remedy


def no_space(error: BaseException | None) -> bool:
    """Whether the disk is full or read-only, so that no other file can be written."""
    while error is not None:
        if getattr(error, "errno", None) in _NO_SPACE:
            return True
        error = error.__cause__
    return False


def sync_file(path: Path) -> None:
    """Make what was written to ``path`` survive a power cut."""
    with path.open("rb+") as file:  # Windows synchronises no file that is open for reading alone
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a renaming in ``folder`` survive a power cut, where the system can."""
    if os.name != "posix":
        return
    with suppress(PermissionError):  # a folder that may be written and not be listed
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise
        finally:
            os.close(handle)


def write_text_atomically(path: Path, text: str, *, remedy: str = _REMEDY, follow_links: bool = True) -> None:
    """Write a UTF-8 text file atomically, see :func:`whole`; "-" is the standard output."""
    with whole(path, check=_read_text, remedy=remedy, follow_links=follow_links) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def write_image(path: Path, pixels: UInt8[np.ndarray, "H W 3"], *, follow_links: bool = True) -> None:
    """Write an image atomically, see :func:`whole`, in the format of the name's ending.

    Raises ValueError for an ending of no image format.
    """
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path} must end in .png, .jpg or another image's ending")
    image = Image.fromarray(pixels)
    options = {"compress_level": 3} if kind == "PNG" else {}
    with whole(path, check=partial(_check_image, kind=kind), follow_links=follow_links) as temporary:
        image.save(temporary, format=kind, **options)


def _check_image(path: Path, *, kind: str) -> None:
    with Image.open(path, formats=(kind,)) as image:
        if kind == "PNG":
            try:
                image.verify()  # has sums over all of it: no second copy of a large image is needed
            except SyntaxError as error:
                raise OSError(str(error)) from error
        else:
            image.load()
