"""Files of the net, fetched once into the cache."""

import hashlib
import http.client
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from tqdm import tqdm

from autolink_gen.cache import CACHE_VARIABLE, cache_folder, locked
from autolink_gen.files import write_atomically

logger = logging.getLogger(__name__)

TRIES = 3
TIMEOUT_S = 60
_BLOCK = 1 << 20


class _FetchError(Exception):
    """Why nothing came; no ValueError or OSError, so that it passes through `write_atomically` as it is."""


def cached_path(url: str) -> Path:
    """Where the cache keeps what lies at an address, whether it is there or not."""
    name = re.sub(r"[^\w.-]", "_", unquote(urlsplit(url).path).rpartition("/")[2])[-80:]
    return cache_folder() / "shards" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{name}"


def fetch(url: str, *, check: Callable[[Path], object]) -> Path:
    """The file at an http or https address, from the cache where it was fetched before.

    A transfer that is cut goes on where it stopped where the server can, or starts anew, three times in all. The
    file takes its name only when it is whole and `check` raises no ValueError for it; else nothing stays.

    Raises:
        ValueError: it cannot be fetched or is not what it should be.
        OSError: the cache cannot be written.
    """
    path = cached_path(url)
    if path.is_file():
        return path
    with locked("shards"):
        if not path.is_file():  # another process may have fetched it while this one waited
            _fill(path, url, check)
    return path


def _fill(path: Path, url: str, check: Callable[[Path], object]) -> None:
    def write(target: Path) -> None:
        with target.open("wb") as file:
            _download(url, file)
        try:
            check(target)
        except ValueError as error:
            raise _FetchError(str(error)) from error

    for leftover in path.parent.glob(f".{path.name}.*.tmp"):  # of a process that was killed
        leftover.unlink(missing_ok=True)
    try:
        remedy = f"free some space or set {CACHE_VARIABLE} to another folder"
        write_atomically(path, write, check=Path.stat, remedy=remedy)
    except _FetchError as error:
        raise ValueError(str(error)) from error


def _download(url: str, file: BinaryIO) -> None:
    """Write what lies at the address into an empty file."""
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    headers = {"User-Agent": "autolink-gen", "Accept-Encoding": "identity"}
    with tqdm(desc=name, unit="B", unit_scale=True, unit_divisor=1024, leave=False, delay=1, disable=None) as bar:
        for tries_left in reversed(range(TRIES)):
            try:
                _receive(url, file, headers, bar)
                return
            except urllib.error.HTTPError as error:
                raise _FetchError(
                    f"cannot fetch {url}: the server answers {error.code} {error.reason}; check the address"
                ) from error
            except _CUT as error:
                reason = getattr(error, "reason", None) or error
                if not tries_left:
                    raise _FetchError(
                        f"cannot fetch {url}: {reason}; check the address and the connection, then repeat the command"
                    ) from error
                logger.info("the transfer of %s was cut (%s), going on", url, reason)


# OSError as such is left out: a full disk is no cut transfer.
_CUT = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


def _receive(url: str, file: BinaryIO, headers: dict[str, str], bar: tqdm) -> None:
    """Append what the file lacks, or write all of it where the server cannot send a part or has changed it."""
    have = file.tell()
    headers.pop("Range", None)
    if have and "If-Range" in headers:
        headers["Range"] = f"bytes={have}-"
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S) as answer:
        if answer.status != http.client.PARTIAL_CONTENT or not _begins_at(answer, have):
            have = 0
            file.seek(0)
            file.truncate()
            version = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
            headers |= {"If-Range": version} if version else {}
        rest = answer.headers.get("Content-Length")
        bar.reset(have + int(rest) if rest else None)
        bar.update(have)
        received = 0
        while block := answer.read(_BLOCK):
            file.write(block)
            received += len(block)
            bar.update(len(block))
    if rest and received < int(rest):  # `read` with a number does not tell
        raise http.client.IncompleteRead(b"", int(rest) - received)


def _begins_at(answer: http.client.HTTPResponse, place: int) -> bool:
    return (answer.headers.get("Content-Range") or "").startswith(f"bytes {place}-")
