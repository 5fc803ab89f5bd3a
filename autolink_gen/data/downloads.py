"""Files of the net, fetched once into the cache."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from autolink_gen.cache import CACHE_VARIABLE, cache_folder, cache_subfolder, clear_leftovers, locked
from autolink_gen.limits import DOWNLOAD_VARIABLE, max_download_bytes
from autolink_gen.web import Limit, address_of, fetch_file

_NAME_BYTES = 80  # a file's name may have 255 bytes, and a temporary one's is longer


def cached_path(url: str) -> Path:
    """Where the cache keeps what lies at an address, whether it is there or not."""
    name = re.sub(r"[^\w.-]", "_", unquote(urlsplit(url).path).rpartition("/")[2])
    short = name[-_NAME_BYTES:].encode()[-_NAME_BYTES:].decode(errors="ignore")
    digest = hashlib.sha256(url.encode(errors="surrogateescape")).hexdigest()
    return cache_folder() / "shards" / f"{digest[:16]}-{short}"


def fetch(url: str, *, check: Callable[[Path], object]) -> Path:
    """The file at an http or https address, from the cache where it was fetched before.

    A transfer that is cut goes on where it stopped where the server can, or starts anew, three times in all. The
    file takes its name only when it is whole and `check` raises no ValueError for it; else nothing stays.

    Raises:
        ValueError: it cannot be fetched, is larger than `max_download_bytes`, or is not what it should be.
        OSError: the cache cannot be written.
    """
    address = address_of(url)
    if address.authorization:
        raise ValueError(
            f"{address.shown}: an address with a password would be written into every run's records; fetch the file "
            "yourself and give its folder"
        )
    path = cached_path(url)
    if path.is_file():
        return path
    limit = Limit(
        max_download_bytes(),
        f"set {DOWNLOAD_VARIABLE} to more bytes where you trust the server, or fetch it yourself and give its folder",
    )
    remedy = f"free some space or set {CACHE_VARIABLE} to another folder"
    with locked("shards") as alone:
        if not path.is_file():  # another process may have fetched it while this one waited
            cache_subfolder("shards")
            clear_leftovers(path, alone=alone)
            fetch_file(path, address, limit=limit, check=check, remedy=remedy, progress=None)
    return path
