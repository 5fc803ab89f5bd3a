"""Bounded, resumable downloads over http and https."""

import base64
import http.client
import io
import logging
import re
import ssl
import string
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from tqdm import tqdm

from autolink_gen.common.files import reason_of, whole
from autolink_gen.common.progress import shows_bars
from autolink_gen.common.text import printable, shown
from autolink_gen.common.web_pauses import QUICK_TRIES, TRIES, is_passing, pause_s, retry_after_s

logger = logging.getLogger(__name__)
_LONG_S = 2.0  # a person should know what is waited for

TIMEOUT_S = 60  # for each connection and each read
MOST_REDIRECTS = 10
_BLOCK = 1 << 20
_MUCH_NEW = 16 * _BLOCK  # a try that brings so much more than any before is counted as the first
_REMEDIES = {
    401: "it wants a password or a token; fetch it yourself and give the file",
    403: "it may not be read, or no longer: renew the address where it is a signed one",
}
_PORTS = {"http": 80, "https": 443}
_PART = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")


class FetchError(Exception):
    """A failed download; no ValueError or OSError, so that `whole` passes it on."""


class _CutError(Exception):
    """A transfer that broke off and may be retried, `tries` times in all."""

    def __init__(self, reason: str, *, tries: int = TRIES, requested_s: float = 0.0) -> None:
        super().__init__(reason)
        self.tries, self.requested_s = tries, requested_s


@dataclass(frozen=True)
class Address:
    """An http or https address in ASCII, and the Authorization header of its login."""

    url: str
    authorization: str | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """The address for messages, without login and query, which may hold secrets."""
        place, mark, _ = self.url.partition("?")
        return shown(place) + (f"{mark}..." if mark else "")


@dataclass(frozen=True)
class Limit:
    """The most bytes that may come, and what to do about it where there are more."""

    most_bytes: int
    remedy: str


def address_of(text: str) -> Address:
    """Parse an http or https address; the ValueError for others shows no password."""
    try:
        split_url = urlsplit(text.strip())
        port = f":{split_url.port}" if split_url.port else ""
        host, user, password = (
            (split_url.hostname or "").encode("idna").decode(),
            split_url.username,
            split_url.password,
        )
        path, query = (quote(component, safe=string.punctuation) for component in (split_url.path, split_url.query))
    except ValueError as error:
        raise ValueError("an address is not written as one; check its spelling") from error
    if split_url.scheme not in _PORTS or not host:
        raise ValueError(
            f"an address begins with http:// or https:// and a host, not with {shown(split_url.scheme + ':')}"
        )
    login = None
    if user is not None or password is not None:
        pair = f"{unquote(user or '')}:{unquote(password or '')}"
        login = f"Basic {base64.b64encode(pair.encode()).decode()}"
    host = f"[{host}]" if ":" in host else host
    return Address(urlunsplit((split_url.scheme, host + port, path, query, "")), login)


def may_lead(old: str, new: str) -> bool:
    """Whether a redirect is allowed: only to http or https, and not from https to http."""
    schemes = urlsplit(old).scheme, urlsplit(new).scheme
    return schemes[1] in _PORTS and schemes != ("https", "http")


def same_host(old: str, new: str) -> bool:
    """Whether two addresses may share a login: one host and port, or http's upgrade to https."""
    before, after = urlsplit(old), urlsplit(new)
    ports = [url.port or _PORTS.get(url.scheme) for url in (before, after)]
    upgraded = (before.scheme, after.scheme) == ("http", "https") and ports == [80, 443]
    return before.hostname == after.hostname and (upgraded or (before.scheme == after.scheme and ports[0] == ports[1]))


def file_name(url: str) -> str:
    """The last part of an address's path, fit for a terminal."""
    return printable(unquote(urlsplit(url).path).rpartition("/")[2])


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows allowed redirects, and sends no login to another host."""

    max_redirections = MOST_REDIRECTS
    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302  # Python 3.10 does not know it

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request:
        """The request to the next address; FetchError where it may not lead there."""
        old = req.full_url
        try:
            new = address_of(newurl)
        except ValueError as error:
            raise FetchError(f"cannot fetch {Address(old).label}: it leads to no http or https address") from error
        if not may_lead(old, new.url):
            raise FetchError(
                f"cannot fetch {Address(old).label}: it leads from https to {new.label}, where anybody between may "
                "change it; give an address that stays with https"
            )
        kept_headers = {name: value for name, value in req.headers.items() if name.lower() != "proxy-authorization"}
        if not same_host(old, new.url):
            kept_headers = {name: value for name, value in kept_headers.items() if name.lower() != "authorization"}
        return urllib.request.Request(
            new.url, headers=kept_headers, origin_req_host=req.origin_req_host, unverifiable=True
        )


def make_opener(
    context: ssl.SSLContext | None = None, *, proxies: dict[str, str] | None = None
) -> urllib.request.OpenerDirector:
    """An opener of http and https addresses, through the environment's or the given proxies."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(proxies),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=context),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def fetch_file(
    path: Path, address: Address, *, limit: Limit, check: Callable[[Path], object], remedy: str, progress: bool | None
) -> None:
    """Fetch a file atomically; it must pass `check`, which raises ValueError.

    Raises:
        ValueError: it cannot be fetched or is not what it should be.
        OSError: `path` cannot be written; the message ends with `remedy`.
    """
    try:
        with whole(path, remedy=remedy) as temporary:
            with temporary.open("xb") as file:  # never through a link that somebody laid there
                download(address, file, limit=limit, progress=progress)
            try:
                check(temporary)
            except ValueError as error:
                raise FetchError(str(error)) from error
    except FetchError as error:
        raise ValueError(str(error)) from error


def download(
    address: Address,
    file: io.BufferedIOBase,
    *,
    limit: Limit,
    opener: urllib.request.OpenerDirector | None = None,
    accept: str = "*/*",
    progress: bool | None = None,
) -> str:
    """Download an address into an empty file; returns the final address after redirects.

    A transfer that is cut, or refused for the moment, goes on where it stopped where the server can, or starts anew,
    after growing pauses. `progress` says whether a bar is shown; None: where a person would see it, after a second.
    Raises FetchError.
    """
    headers = {"User-Agent": "autolink-gen", "Accept-Encoding": "identity", "Accept": accept}
    if address.authorization:
        headers["Authorization"] = address.authorization
    with tqdm(
        desc=file_name(address.url),
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        leave=False,
        delay=1 if progress is None else 0,
        disable=progress is False or not shows_bars(),
    ) as bar:
        num_tries, most_bytes = 0, 0
        while True:
            try:
                return _receive(opener or make_opener(), address, file, headers=headers, limit=limit, bar=bar)
            except _CutError as error:
                num_tries = 1 if file.tell() >= most_bytes + _MUCH_NEW else num_tries + 1
                most_bytes = max(most_bytes, file.tell())
                if num_tries >= error.tries:
                    raise FetchError(
                        f"cannot fetch {address.label}: {error}; check the address and the connection, then repeat "
                        "the command"
                    ) from error
                wait_s = pause_s(num_tries, error.requested_s)
                level = logging.WARNING if wait_s >= _LONG_S else logging.INFO
                logger.log(level, "%s: %s; asked again in %g s", address.label, error, wait_s)
                time.sleep(wait_s)


def _receive(
    opener: urllib.request.OpenerDirector,
    address: Address,
    file: io.BufferedIOBase,
    *,
    headers: dict[str, str],
    limit: Limit,
    bar: tqdm,
) -> str:
    """Append the missing bytes, or start anew if the server cannot resume or the file changed."""
    num_bytes = file.tell()
    headers.pop("Range", None)
    if num_bytes and "If-Range" in headers:
        headers["Range"] = f"bytes={num_bytes}-"
    with _answer(opener, address, headers) as answer:
        if not _is_rest(answer, num_bytes, headers):
            num_bytes = 0
            file.seek(0)
            file.truncate()
            version = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
            headers |= {"If-Range": version} if version else {}
        total_bytes = None if answer.length is None else num_bytes + answer.length
        _check_size(address, total_bytes or 0, limit)
        bar.reset(total_bytes)
        bar.update(num_bytes)
        while block := _read(answer):
            _check_size(address, file.tell() + len(block), limit)
            file.write(block)
            bar.update(len(block))
        if total_bytes is not None and file.tell() < total_bytes:  # `read` with a number does not tell
            raise _CutError(f"the connection was closed after {file.tell():,} of {total_bytes:,} bytes")
        return answer.url


def _answer(
    opener: urllib.request.OpenerDirector, address: Address, headers: dict[str, str]
) -> http.client.HTTPResponse:
    try:
        request = urllib.request.Request(address.url, headers=headers)
        answer: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT_S)
        return answer
    except FetchError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        raise _error_of_status(address, error, headers) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise FetchError(
                f"cannot fetch {address.label}: {_reason_text(error.reason)}; check the address and the clock, or name "
                "the certificates to trust in SSL_CERT_FILE"
            ) from error
        passes = isinstance(error.reason, TimeoutError | ConnectionResetError | ssl.SSLError)
        raise _CutError(_reason_text(error.reason), tries=TRIES if passes else QUICK_TRIES) from error
    except (http.client.InvalidURL, ValueError) as error:  # whose words may hold a proxy's password
        raise FetchError(
            f"cannot fetch {address.label}: it, or the address of the proxy, is not written as one; check the address "
            "and the proxy"
        ) from error
    except (http.client.HTTPException, OSError) as error:
        raise _CutError(reason_of(error)) from error


def _error_of_status(
    address: Address, error: urllib.error.HTTPError, headers: dict[str, str]
) -> FetchError | _CutError:
    """What an answer other than the file means: to ask again, or that there is no use."""
    reason = f"the server answers {error.code} {reason_of(ValueError(error.reason))}"
    if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and "Range" in headers:
        headers.pop("If-Range", None)  # it has changed: asked for the whole next time
        return _CutError(reason)
    if is_passing(error.code):
        return _CutError(reason, requested_s=retry_after_s(error.headers.get("Retry-After")))
    return FetchError(f"cannot fetch {address.label}: {reason}; {_REMEDIES.get(error.code, 'check the address')}")


def _reason_text(reason: object) -> str:
    return reason_of(reason) if isinstance(reason, BaseException) else shown(reason)


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_BLOCK)
    except Exception as error:  # apart from the disk's errors, which are not the net's
        raise _CutError(reason_of(error)) from error


def _is_rest(answer: http.client.HTTPResponse, num_bytes: int, headers: dict[str, str]) -> bool:
    """Whether the answer is the rest after `num_bytes`, not the whole file."""
    if answer.status == http.client.OK:
        return False
    if answer.status != http.client.PARTIAL_CONTENT:
        raise FetchError(
            f"cannot fetch {Address(answer.url).label}: the server answers {answer.status} in the place of a file; "
            "check the address"
        )
    match = _PART.fullmatch(answer.headers.get("Content-Range") or "")
    if match and "Range" in headers:
        first, last = int(match[1]), int(match[2])
        ends = match[3] == "*" or last + 1 == int(match[3])
        if first == num_bytes and ends and answer.length in (None, last + 1 - first):
            return True
    headers.pop("If-Range", None)  # such a server is asked for the whole next time
    raise _CutError("the server sends another part than it was asked for")


def _check_size(address: Address, size_bytes: int, limit: Limit) -> None:
    if size_bytes > limit.most_bytes:
        raise FetchError(
            f"cannot fetch {address.label}: it is larger than {limit.most_bytes:,} bytes, the most that is fetched; "
            f"{limit.remedy}"
        )
