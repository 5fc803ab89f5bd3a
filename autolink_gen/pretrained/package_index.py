"""One source archive of the user's package index, fetched and checked without running or unpacking anything.

An index is what pip reads: a page for each project with links to its files, in HTML (PEP 503) or JSON (PEP 691),
on a server or in a folder.
"""

import hashlib
import html
import json
import logging
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase, BytesIO
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import OpenerDirector, url2pathname

from tqdm import tqdm

from autolink_gen.common.files import reading, reason_of
from autolink_gen.common.text import printable, shown
from autolink_gen.common.web import (
    Address,
    FetchError,
    Limit,
    address_of,
    download,
    file_name,
    make_opener,
    may_lead,
    same_host,
)
from autolink_gen.pretrained.pip_client import PipSettings, Requirement, pip_settings

logger = logging.getLogger(__name__)

MOST_PAGE_BYTES = 10_000_000
_BLOCK = 1 << 20
_JSON = "application/vnd.pypi.simple.v1+json"
_ACCEPT = f"{_JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
# Neither looks twice at what it passed over, however a page is made.
_ANCHOR = re.compile(r"<a\s([^<>]*)>", re.IGNORECASE)
_HREF = re.compile(r"""(?<![\w-])href\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)


@dataclass(frozen=True)
class _Link:
    url: str
    sha256: str | None


def fetch_published(wanted: Requirement, target: Path, *, progress: bool) -> None:
    """Write the archive into `target`, which must not exist, once its sha256 is the wanted one.

    Raises ValueError that says what each of the places answered that pip's settings name; nothing stays then.
    """
    if target.exists() or target.is_symlink():
        raise ValueError(f"{printable(str(target))} is in the way: remove it")
    settings = pip_settings()
    answers = [] if settings.places else ["pip names no index"]
    for place in settings.places:
        try:
            _take(place, wanted, target, settings=settings, progress=progress)
        except (ValueError, FetchError) as problem:
            answers.append(f"{_shown(place)}: {problem}")
        except OSError as problem:
            answers.append(f"{_shown(place)}: {reason_of(problem)}")
        else:
            logger.debug("%s is from %s", wanted.pinned, _shown(place))
            return
        target.unlink(missing_ok=True)
    raise ValueError("; ".join(answers))


def check_archive(path: Path, wanted: Requirement) -> None:
    """ValueError unless the file has the wanted sha256."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != wanted.sha256:
        raise ValueError(f"what came has sha256 {digest.hexdigest()}, but {wanted.pinned} has {wanted.sha256}")


def _take(place: str, wanted: Requirement, target: Path, *, settings: PipSettings, progress: bool) -> None:
    """Write the archive that one place has into `target`, and check it."""
    with target.open("xb") as file:
        if place.lower().startswith(("http:", "https:")):
            _from_server(address_of(place), wanted, file, settings=settings, progress=progress)
        else:
            _from_folder(_folder(place), wanted, file, settings=settings, progress=progress)
    check_archive(target, wanted)


def _from_server(
    index: Address, wanted: Requirement, file: BufferedIOBase, *, settings: PipSettings, progress: bool
) -> None:
    opener = _opener(settings)
    page = BytesIO()
    asked = Address(f"{index.url.rstrip('/')}/{wanted.project}/", index.authorization)
    limit = Limit(MOST_PAGE_BYTES, "it is no page of an index")
    came_from = download(asked, page, limit=limit, opener=opener, accept=_ACCEPT, progress=False)
    link = _link(page.getvalue(), came_from, wanted)
    _load(link, came_from, wanted, file, login=asked, opener=opener, progress=progress)


def _from_folder(
    folder: Path, wanted: Requirement, file: BufferedIOBase, *, settings: PipSettings, progress: bool
) -> None:
    """Out of a folder of archives, or one of a folder for each project with archives or a page."""
    inside = folder / wanted.project
    for name in (one / name for one in (folder, inside) for name in _names(wanted)):
        if name.is_file():
            _copy(name, wanted, file, progress=progress)
            return
    page = inside / "index.html"
    if not page.is_file():
        raise ValueError(f"it has no {_names(wanted)[0]}")
    with page.open("rb") as content:
        data = content.read(MOST_PAGE_BYTES + 1)
    base = page.resolve().as_uri()
    link = _link(data[:MOST_PAGE_BYTES], base, wanted)
    if urlsplit(link.url).scheme == "file":
        _copy(_folder(link.url), wanted, file, progress=progress)
    else:
        _load(link, link.url, wanted, file, login=None, opener=_opener(settings), progress=progress)


def _load(
    link: _Link,
    page: str,
    wanted: Requirement,
    file: BufferedIOBase,
    *,
    login: Address | None,
    opener: OpenerDirector,
    progress: bool,
) -> None:
    """Write what a link on a page leads to; the index's password goes to the index's host alone."""
    found = address_of(link.url)
    if not may_lead(page, found.url):
        raise ValueError(f"its page leads from https to {found.shown}, where anybody between may change it")
    authorization = found.authorization
    if login is not None and same_host(login.url, found.url):
        authorization = authorization or login.authorization
    limit = Limit(wanted.size_bytes, f"it is not the published {wanted.pinned}")
    download(Address(found.url, authorization), file, limit=limit, opener=opener, progress=progress)


def _link(page: bytes, base: str, wanted: Requirement) -> _Link:
    """The link to the wanted archive on a project's page; ValueError where it has none, or one to other bytes."""
    with reading("its page", "page of a package index", remedy="ask whoever keeps it"):
        listed = list(_json_links(page) if page.lstrip().startswith(b"{") else _html_links(page))
        links = [_Link(urljoin(base, urldefrag(one.url).url), one.sha256) for one in listed]
        links = [one for one in links if file_name(one.url) in _names(wanted)]
    if not links:
        raise ValueError(f"its page of {wanted.project} has no {_names(wanted)[0]}")
    fitting = [one for one in links if one.sha256 in (None, wanted.sha256)]
    if not fitting:
        raise ValueError(f"its {wanted.pinned} has sha256 {shown(links[0].sha256)}, not {wanted.sha256}")
    return fitting[0]


def _json_links(page: bytes) -> Iterator[_Link]:
    for one in json.loads(page)["files"]:
        digest = one.get("hashes", {}).get("sha256")
        yield _Link(str(one["url"]), None if digest is None else str(digest).lower())


def _html_links(page: bytes) -> Iterator[_Link]:
    for anchor in _ANCHOR.finditer(page.decode(errors="replace")):
        href = _HREF.search(anchor[1])
        if href:
            url = html.unescape(href[1] if href[1] is not None else href[2])
            name, _, digest = urldefrag(url).fragment.partition("=")
            yield _Link(url, digest.lower() if name == "sha256" else None)


def _names(wanted: Requirement) -> tuple[str, str]:
    ending = f"-{wanted.version}.tar.gz"
    return wanted.project.replace("-", "_") + ending, wanted.project + ending


def _copy(path: Path, wanted: Requirement, file: BufferedIOBase, *, progress: bool) -> None:
    if path.stat().st_size != wanted.size_bytes:
        raise ValueError(f"{printable(str(path))} has not the {wanted.size_bytes:,} bytes of {wanted.pinned}")
    title = printable(path.name)
    with (
        path.open("rb") as source,
        tqdm(total=wanted.size_bytes, desc=title, unit="B", unit_scale=True, disable=not progress, leave=False) as bar,
    ):
        while block := source.read(_BLOCK):
            file.write(block)
            bar.update(len(block))


def _folder(place: str) -> Path:
    """The path that a file address or a path names; ValueError for one of another machine or another scheme."""
    if "://" not in place and not place.lower().startswith("file:"):
        return Path(place)
    parts = urlsplit(place)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise ValueError("an index is at an http, https or file address, or in a folder")
    return Path(url2pathname(parts.path))


def _opener(settings: PipSettings) -> OpenerDirector:
    """What opens addresses as pip does: with its certificates, through its proxy."""
    context = _context(settings.certificates)
    if settings.more_certificates and not settings.certificates and Path(settings.more_certificates).is_file():
        context.load_verify_locations(settings.more_certificates)
    return make_opener(context, proxies=dict.fromkeys(("http", "https"), settings.proxy) if settings.proxy else None)


def _context(certificates: str | None) -> ssl.SSLContext:
    if certificates is None:
        return ssl.create_default_context()
    place = Path(certificates).expanduser()
    if not place.exists():
        raise ValueError(f"pip's cert names {printable(certificates)}, which is not there")
    if place.is_dir():
        return ssl.create_default_context(capath=str(place))
    return ssl.create_default_context(cafile=str(place))


def _shown(place: str) -> str:
    """A place as messages show it, without user, password and query."""
    if "://" not in place:
        return printable(place)
    scheme, _, rest = place.partition("://")
    return shown(f"{scheme}://{unquote(re.split('[?#]', rest)[0].rpartition('@')[2])}")
