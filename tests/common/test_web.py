"""Fetching over http: redirects, limits, parts and the schemes that are opened."""

import io
import urllib.request
from collections.abc import Iterator
from email.message import Message

import pytest
from helpers.http_server import LIMIT, Handler, Server, answer, fetched, running_server
from helpers.messages import raises_mentioning

from autolink_gen.common import web
from autolink_gen.common.web import FetchError, Limit, address_of, download, make_opener, may_lead, same_host


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many seconds were waited each time, in which nothing was done."""
    waited: list[float] = []
    monkeypatch.setattr(web.time, "sleep", waited.append)
    return waited


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with running_server() as running:
        yield running


def redirected(old: str, new: str, **headers: str) -> urllib.request.Request | None:
    handler = web._Redirects()
    request = urllib.request.Request(old, headers=headers)
    return handler.redirect_request(request, io.BytesIO(), 302, "Found", Message(), new)


@pytest.mark.parametrize(
    "new", ["http://a.b/c", "ftp://a.b/c", "file:///etc/passwd", "data:,x", "https:///c", "http://[a/"]
)
def test_https_leads_to_https_alone(new: str) -> None:
    with pytest.raises(FetchError, match=r"cannot fetch https://a\.b/: it leads"):
        redirected("https://a.b/", new)


@pytest.mark.parametrize(("old", "new"), [("http", "http"), ("http", "https"), ("https", "https")])
def test_what_may_lead_where(old: str, new: str) -> None:
    assert may_lead(f"{old}://a/", f"{new}://b/")
    request = redirected(f"{old}://a/", f"{new}://b/c?d=1")
    assert request is not None and request.full_url == f"{new}://b/c?d=1"


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("https://a.b/c", "https://a.b/d", True),
        ("https://a.b/c", "https://A.b:443/d", True),
        ("http://a.b/c", "https://a.b/d", True),
        ("http://a.b:8000/c", "https://a.b/d", False),
        ("https://a.b/c", "https://a.b:444/d", False),
        ("https://a.b/c", "https://b.a.b/d", False),
    ],
)
def test_a_password_goes_to_its_own_host_alone(old: str, new: str, same: bool) -> None:
    request = redirected(old, new, Authorization="Basic x", Range="bytes=1-", **{"Proxy-authorization": "Basic y"})
    assert request is not None
    names = {name.lower() for name in request.headers}
    assert names == ({"authorization", "range"} if same else {"range"})
    assert same_host(old, new) is same


def test_redirects_are_followed_and_the_last_address_is_told(server: Server) -> None:
    server.answers = {"/a": answer(status=302, Location="/b"), "/b": answer(b"here")}
    file = io.BytesIO()
    login = f"http://me:secret@127.0.0.1:{server.server_port}/a"
    assert download(address_of(login), file, limit=LIMIT) == server.address("/b")
    assert file.getvalue() == b"here"
    assert [headers["Authorization"] for _, headers in server.asked] == ["Basic bWU6c2VjcmV0"] * 2


def test_another_host_hears_no_password(server: Server) -> None:
    server.answers = {"/a": answer(status=302, Location=server.address("/b", "localhost")), "/b": answer(b"here")}
    assert fetched(address_of(f"http://me:secret@127.0.0.1:{server.server_port}/a")) == b"here"
    assert ["Authorization" in headers for _, headers in server.asked] == [True, False]


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:text/plain,x", "gopher://a/"])
def test_a_redirect_to_another_scheme_is_not_followed(target: str, server: Server) -> None:
    server.answers = {"/a": answer(status=302, Location=target)}
    with pytest.raises(FetchError, match=r"cannot fetch http://127.*/a: (.*not allowed|it leads to no http)"):
        fetched(address_of(server.address("/a")))
    assert len(server.asked) == 1


def test_redirects_end(server: Server) -> None:
    server.answers = {f"/{n}": answer(status=302, Location=f"/{n + 1}") for n in range(12)}
    with pytest.raises(FetchError, match="302"):
        fetched(address_of(server.address("/0")))
    assert len(server.asked) == web.MOST_REDIRECTS + 1


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x"])
def test_the_opener_knows_http_alone(url: str) -> None:
    with pytest.raises(urllib.error.URLError, match="unknown url type"):
        make_opener().open(url)


@pytest.mark.parametrize("length", [-1, None, 1001, 10**18])
def test_too_much_is_refused_whatever_its_length_says(length: int | None, server: Server) -> None:
    server.answers = {"/a": answer(b"x" * 1001, length=length)}
    with pytest.raises(FetchError, match=r"larger than 1,000 bytes.*; take less"):
        fetched(address_of(server.address("/a")))
    assert len(server.asked) == 1
    server.answers = {"/a": answer(b"x" * 1000)}
    assert fetched(address_of(server.address("/a"))) == b"x" * 1000


def test_no_more_than_the_limit_is_taken_from_a_server_that_sends_on_and_on(server: Server) -> None:
    def send(handler: Handler) -> None:
        answer(length=None)(handler)
        for _ in range(64):
            handler.wfile.write(b"x" * (1 << 16))

    server.answers = {"/a": send}
    file = io.BytesIO()
    with pytest.raises(FetchError, match="larger than"):
        download(address_of(server.address("/a")), file, limit=Limit(1 << 21, "take less"))
    assert len(file.getvalue()) <= 1 << 21


@pytest.mark.parametrize("length", ["-5", "abc", "9" * 5000])
def test_a_length_that_is_no_number_is_passed_over(length: str, server: Server) -> None:
    server.answers = {"/a": answer(b"here", length=None, Content_Length=length)}
    assert fetched(address_of(server.address("/a"))) == b"here"


def test_a_part_that_nobody_asked_for_is_not_the_whole(server: Server) -> None:
    server.answers = {"/a": answer(b"01234", status=206, Content_Range="bytes 0-4/10")}
    with raises_mentioning(FetchError, "another part", "asked"):
        fetched(address_of(server.address("/a")))


@pytest.mark.parametrize(
    "told",
    [
        "bytes 0-4/10",
        "bytes 6-9/10",
        "bytes 5-9/20",
        "bytes 5-7/10",
        "bytes 5-9/11",
        "bytes 9-5/10",
        "5",
        f"bytes 5-{'9' * 5000}/*",
    ],
)
def test_a_part_that_lies_is_fetched_anew(told: str, server: Server) -> None:
    def send(handler: Handler) -> None:
        if "Range" in handler.headers:
            answer(b"wrong", status=206, Content_Range=told)(handler)
        elif len(server.asked) == 1:
            answer(b"01234", length=10, ETag='"1"')(handler)
        else:
            answer(b"0123456789", ETag='"1"')(handler)

    server.answers = {"/a": send}
    assert fetched(address_of(server.address("/a"))) == b"0123456789"
    assert ["Range" in headers for _, headers in server.asked] == [False, True, False]


@pytest.mark.parametrize("status", [201, 204, 404, 500])
def test_another_answer_is_no_file(status: int, server: Server) -> None:
    server.answers = {"/a": answer(b"", status=status)}
    with pytest.raises(FetchError, match=f"the server answers {status}"):
        fetched(address_of(server.address("/a")))


def test_what_a_server_says_is_printable(server: Server) -> None:
    def send(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.0 404 \x1b]0;x\x07\x9b2J\r\n\r\n")

    server.answers = {"/a": send}
    with pytest.raises(FetchError) as failure:
        fetched(address_of(server.address("/a")))
    assert "404" in str(failure.value) and str(failure.value).isprintable()


@pytest.mark.parametrize(
    "content", [b"\xff" * 100, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc", b""]
)
def test_what_is_no_http_is_one_line(content: bytes, server: Server) -> None:
    server.answers = {"/a": lambda handler: handler.wfile.write(content)}
    with pytest.raises(FetchError, match=r"cannot fetch http://127.*/a: .+check the address"):
        fetched(address_of(server.address("/a")))
    assert len(server.asked) == web.TRIES


@pytest.mark.parametrize(
    "proxy", ["http:me:secret@a", "http://me:x/secret@a", "socks5://me:secret@a:1", "http://:secret"]
)
def test_a_proxy_that_is_no_address_is_one_line_without_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    opener = make_opener(proxies={"http": proxy})
    with pytest.raises(FetchError, match=r"cannot fetch http://a\.invalid/b: ") as failure:
        download(address_of("http://a.invalid/b"), io.BytesIO(), limit=LIMIT, opener=opener)
    assert "secret" not in str(failure.value)


def test_a_proxys_password_is_for_the_proxy_alone(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.answers = {"http://a.invalid/b": answer(status=302, Location=server.address("/c")), "/c": answer(b"here")}
    opener = make_opener(proxies={"http": f"http://me:secret@127.0.0.1:{server.server_port}"})
    download(address_of("http://a.invalid/b"), io.BytesIO(), limit=LIMIT, opener=opener)
    assert ["Proxy-Authorization" in {name.title() for name in told} for _, told in server.asked] == [True, False]


def test_addresses_are_read_and_written() -> None:
    assert address_of(" HTTPS://A.b/ö c?d=é#e ").url == "https://a.b/%C3%B6%20c?d=%C3%A9"
    assert address_of("http://[::1]:80/a%20b").url == "http://[::1]:80/a%20b"
    assert address_of("http://bücher.de/").url == "http://xn--bcher-kva.de/"
    login = address_of("https://me:p%40ss@a.b/c")
    assert (login.url, login.authorization) == ("https://a.b/c", "Basic bWU6cEBzcw==")
    assert "cEBzcw" not in repr(login) and "p%40ss" not in repr(login)


@pytest.mark.parametrize(
    "text", ["http://a:b/", "http://[a", "http://me:secret@[a", "", "a/b", "http://a..b/", "http://é\ud800/"]
)
def test_what_is_no_address_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(ValueError, match="an address") as failure:
        address_of(text)
    assert "secret" not in str(failure.value)
