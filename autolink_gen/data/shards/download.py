"""Files of the net, fetched once into the cache."""

import hashlib
import logging
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from autolink_gen.common.cache import CACHE_VARIABLE, cache_folder, cache_lock, cache_subfolder, clear_leftovers
from autolink_gen.common.limits import DOWNLOAD_VARIABLE, max_download_bytes
from autolink_gen.common.web import Address, Limit, address_of, fetch_file
from autolink_gen.data.identity import public_address
from autolink_gen.data.shards.cached_files import damage_of, note_sum

logger = logging.getLogger(__name__)

_REMEDY = f"free some space or set {CACHE_VARIABLE} to another folder"
_NAME_BYTES = 80  # a file's name may have 255 bytes, and a temporary one's is longer


def cached_path(url: str) -> Path:
    """The cache path for an address, whether the file exists or not; signatures do not count."""
    public = public_address(url)
    name = re.sub(r"[^\w.-]", "_", unquote(urlsplit(public).path).rpartition("/")[2])
    short = name[-_NAME_BYTES:].encode()[-_NAME_BYTES:].decode(errors="ignore")
    digest = hashlib.sha256(public.encode(errors="surrogateescape")).hexdigest()
    return cache_folder() / "shards" / f"{digest[:16]}-{short}"


def fetch(url: str, *, check: Callable[[Path], object]) -> Path:
    """The file at an http or https address, from the cache where it was fetched before and has not changed since.

    A transfer that is cut, or refused for the moment, is tried again, see `download`. The file takes its name only when
    it is whole and `check` raises no ValueError for it; else nothing stays.

    Raises:
        ValueError: it cannot be fetched, is larger than `max_download_bytes`, or is not what it should be.
        OSError: the cache cannot be written.
    """
    address = address_of(url)
    path = cached_path(url)
    if path.is_file() and not damage_of(path):
        return path
    with cache_lock("shards") as alone:
        is_there = path.is_file()  # another process may have fetched it while this one waited
        damage = damage_of(path) if is_there else ""
        if damage or not is_there:
            cache_subfolder("shards")
            clear_leftovers(path, alone=alone)
            _fetch(path, address, damage, check)
    return path


def _fetch(path: Path, address: Address, damage: str, check: Callable[[Path], object]) -> None:
    """Fetch a file that is not there, or is there and damaged."""
    limit = Limit(
        max_download_bytes(),
        f"set {DOWNLOAD_VARIABLE} to more bytes where you trust the server, or fetch it yourself and give its folder",
    )
    if damage:
        logger.warning("%s in the cache is damaged (%s): fetching it anew", address.label, damage)
    try:
        fetch_file(path, address, limit=limit, check=check, remedy=_REMEDY, progress=None)
    except ValueError as error:
        if not damage:
            raise
        raise ValueError(f"{path}, fetched before, is damaged ({damage}): {error}") from error
    note_sum(path, remedy=_REMEDY)
