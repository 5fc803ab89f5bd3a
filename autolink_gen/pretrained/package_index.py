"""Fetch and check a source archive from the user's package index without running it.

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
from autolink_gen.common.progress import shows_bars
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


def fetch_published(requirement: Requirement, target: Path, *, progress: bool) -> None:
    """Fetch the archive into `target`, which must not exist, and check its sha256.

    The places in pip's settings are tried in turn. If all fail, raises ValueError with each one's answer, and leaves no
    file.
    """
    if target.exists() or target.is_symlink():
        raise ValueError(f"{printable(str(target))} is in the way: remove it")
    settings = pip_settings()
    answers = [] if settings.places else ["pip names no index"]
    for place in settings.places:
        try:
            _take(place, requirement, target, settings=settings, progress=progress)
        except (ValueError, FetchError) as problem:
            answers.append(f"{_public_place(place)}: {problem}")
        except OSError as problem:
            answers.append(f"{_public_place(place)}: {reason_of(problem)}")
        else:
            logger.debug("%s is from %s", requirement.specifier, _public_place(place))
            return
        target.unlink(missing_ok=True)
    raise ValueError("; ".join(answers))


def check_archive(path: Path, requirement: Requirement) -> None:
    """ValueError unless the file has the wanted sha256."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != requirement.sha256:
        raise ValueError(
            f"what came has sha256 {digest.hexdigest()}, but {requirement.specifier} has {requirement.sha256}"
        )


def _take(place: str, requirement: Requirement, target: Path, *, settings: PipSettings, progress: bool) -> None:
    """Write the archive that one place has into `target`, and check it."""
    with target.open("xb") as file:
        if place.lower().startswith(("http:", "https:")):
            _from_server(address_of(place), requirement, file, settings=settings, progress=progress)
        else:
            _from_folder(_folder(place), requirement, file, settings=settings, progress=progress)
    check_archive(target, requirement)


def _from_server(
    index: Address, requirement: Requirement, file: BufferedIOBase, *, settings: PipSettings, progress: bool
) -> None:
    opener = _opener(settings)
    page = BytesIO()
    page_address = Address(f"{index.url.rstrip('/')}/{requirement.project}/", index.authorization)
    limit = Limit(MOST_PAGE_BYTES, "it is no page of an index")
    final_url = download(page_address, page, limit=limit, opener=opener, accept=_ACCEPT, progress=False)
    link = _link(page.getvalue(), final_url, requirement)
    _load(link, final_url, requirement, file, login=page_address, opener=opener, progress=progress)


def _from_folder(
    folder: Path, requirement: Requirement, file: BufferedIOBase, *, settings: PipSettings, progress: bool
) -> None:
    """Take the archive from a folder of archives, or from an index in a folder."""
    subfolder = folder / requirement.project
    for name in (parent / name for parent in (folder, subfolder) for name in _names(requirement)):
        if name.is_file():
            _copy(name, requirement, file, progress=progress)
            return
    page = subfolder / "index.html"
    if not page.is_file():
        raise ValueError(f"it has no {_names(requirement)[0]}")
    with page.open("rb") as content:
        data = content.read(MOST_PAGE_BYTES + 1)
    base = page.resolve().as_uri()
    link = _link(data[:MOST_PAGE_BYTES], base, requirement)
    if urlsplit(link.url).scheme == "file":
        _copy(_folder(link.url), requirement, file, progress=progress)
    else:
        _load(link, link.url, requirement, file, login=None, opener=_opener(settings), progress=progress)


def _load(
    link: _Link,
    page: str,
    requirement: Requirement,
    file: BufferedIOBase,
    *,
    login: Address | None,
    opener: OpenerDirector,
    progress: bool,
) -> None:
    """Download a page's link; only the index's own host gets its password."""
    address = address_of(link.url)
    if not may_lead(page, address.url):
        raise ValueError(f"its page leads from https to {address.label}, where anybody between may change it")
    authorization = address.authorization
    if login is not None and same_host(login.url, address.url):
        authorization = authorization or login.authorization
    limit = Limit(requirement.size_bytes, f"it is not the published {requirement.specifier}")
    download(Address(address.url, authorization), file, limit=limit, opener=opener, progress=progress)


def _link(page: bytes, base: str, requirement: Requirement) -> _Link:
    """The link to the archive on a project's page; ValueError for none or another sha256."""
    with reading("its page", "page of a package index", remedy="ask whoever keeps it"):
        page_links = list(_json_links(page) if page.lstrip().startswith(b"{") else _html_links(page))
        links = [_Link(urljoin(base, urldefrag(link.url).url), link.sha256) for link in page_links]
        links = [link for link in links if file_name(link.url) in _names(requirement)]
    if not links:
        raise ValueError(f"its page of {requirement.project} has no {_names(requirement)[0]}")
    matching = [link for link in links if link.sha256 in (None, requirement.sha256)]
    if not matching:
        raise ValueError(f"its {requirement.specifier} has sha256 {shown(links[0].sha256)}, not {requirement.sha256}")
    return matching[0]


def _json_links(page: bytes) -> Iterator[_Link]:
    for entry in json.loads(page)["files"]:
        digest = entry.get("hashes", {}).get("sha256")
        yield _Link(str(entry["url"]), None if digest is None else str(digest).lower())


def _html_links(page: bytes) -> Iterator[_Link]:
    for anchor in _ANCHOR.finditer(page.decode(errors="replace")):
        href = _HREF.search(anchor[1])
        if href:
            url = html.unescape(href[1] if href[1] is not None else href[2])
            name, _, digest = urldefrag(url).fragment.partition("=")
            yield _Link(url, digest.lower() if name == "sha256" else None)


def _names(requirement: Requirement) -> tuple[str, str]:
    ending = f"-{requirement.version}.tar.gz"
    return requirement.project.replace("-", "_") + ending, requirement.project + ending


def _copy(path: Path, requirement: Requirement, file: BufferedIOBase, *, progress: bool) -> None:
    if path.stat().st_size != requirement.size_bytes:
        raise ValueError(
            f"{printable(str(path))} has not the {requirement.size_bytes:,} bytes of {requirement.specifier}"
        )
    title = printable(path.name)
    with (
        path.open("rb") as source,
        tqdm(
            total=requirement.size_bytes,
            desc=title,
            unit="B",
            unit_scale=True,
            disable=not (progress and shows_bars()),
            leave=False,
        ) as bar,
    ):
        while block := source.read(_BLOCK):
            file.write(block)
            bar.update(len(block))


def _folder(place: str) -> Path:
    """The path of a file address or a path; ValueError for another machine or scheme."""
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


def _public_place(place: str) -> str:
    """A place as messages show it, without user, password and query."""
    if "://" not in place:
        return printable(place)
    scheme, _, rest = place.partition("://")
    return shown(f"{scheme}://{unquote(re.split('[?#]', rest)[0].rpartition('@')[2])}")
