"""Shards of a web server: fetched once, gone on with when cut, whole or not there."""

import logging
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from helpers.messages import raises_mentioning
from helpers.tar_files import numbered, write_tar

from autolink_gen.common import web
from autolink_gen.common.cache import cache_folder
from autolink_gen.data.shards import cached_files
from autolink_gen.data.shards.download import cached_path, fetch
from autolink_gen.data.source import open_source


class Server(ThreadingHTTPServer):
    """Serves files from memory; each of the first answers is cut after as many bytes as `cuts` says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.version: str | None = '"1"'
        self.asked: list[tuple[str, str | None]] = []
        self.refusals: list[tuple[int, str | None]] = []  # the first answers: a status, and how long to wait

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        content = self.server.files.get(self.path)
        if self.server.refusals or content is None:
            status, retry_after = self.server.refusals.pop(0) if self.server.refusals else (404, None)
            self.send_response(status)
            if retry_after is not None:
                self.send_header("Retry-After", retry_after)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        if wanted and self.server.version and self.headers.get("If-Range") == self.server.version:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.server.version:
            self.send_header("ETag", self.server.version)
        self.end_headers()
        end = start + self.server.cuts.pop(0) if self.server.cuts else len(content)
        self.wfile.write(content[start:end])

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of two shards, and a cache of our own; nobody waits."""
    monkeypatch.setattr(web.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("AUTOLINK_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    with Server() as running:
        for number in range(2):
            shard = write_tar(tmp_path / "shard.tar", numbered(3 * number, 3 * number + 2))
            running.files[f"/s-{number}.tar"] = shard.read_bytes()
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def _cached() -> list[str]:
    return sorted(
        path.name.partition("-")[2] for path in (cache_folder() / "shards").iterdir() if path.suffix != ".sum"
    )


def _fetch(server: Server) -> bytes:
    return fetch(f"{server.address}/s-0.tar", check=Path.stat).read_bytes()


def test_shards_are_fetched_once(server: Server) -> None:
    data = f"{server.address}/s-{{0..1}}.tar"

    for _ in range(2):
        dataset = open_source(data).images(size=8)
        assert [int(dataset[index][0, 0, 0]) for index in range(6)] == [0, 1, 2, 3, 4, 5]
        assert [path for path, _ in server.asked] == ["/s-0.tar", "/s-1.tar"]
    assert _cached() == ["s-0.tar", "s-1.tar"]
    assert dataset.name_of(4) == f"004.png in {server.address}/s-1.tar"


def test_addresses_of_the_same_name_are_kept_apart(server: Server) -> None:
    server.files["/s-0.tar?v=2"] = server.files["/s-1.tar"]
    two = [open_source(f"{server.address}/s-0.tar{more}").images(size=8) for more in ("", "?v=2")]
    assert [int(dataset[0][0, 0, 0]) for dataset in two] == [0, 3]


def test_a_cut_transfer_goes_on_where_it_stopped(server: Server) -> None:
    server.cuts = [1000, 500]
    assert _fetch(server) == server.files["/s-0.tar"]
    assert [wanted for _, wanted in server.asked] == [None, "bytes=1000-", "bytes=1500-"]


def test_a_file_that_cannot_be_told_to_be_the_same_is_fetched_anew(server: Server) -> None:
    server.cuts, server.version = [1000], None
    assert _fetch(server) == server.files["/s-0.tar"]
    assert [wanted for _, wanted in server.asked] == [None, None]


def test_a_file_that_changed_meanwhile_is_fetched_anew(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = web._receive

    def change_after(*args, **options) -> str:
        try:
            return plain(*args, **options)
        finally:
            server.version, server.files["/s-0.tar"] = '"2"', server.files["/s-1.tar"]

    server.cuts = [1000]
    monkeypatch.setattr(web, "_receive", change_after)
    assert _fetch(server) == server.files["/s-1.tar"]
    assert [wanted for _, wanted in server.asked] == [None, "bytes=1000-"]


def test_a_transfer_that_is_cut_again_and_again_leaves_nothing(server: Server) -> None:
    server.cuts = [1000, *[500] * (web.TRIES - 1)]
    with raises_mentioning(ValueError, "fetch", "s-0.tar", "address", "connection"):
        _fetch(server)
    assert len(server.asked) == web.TRIES and _cached() == []
    assert _fetch(server) == server.files["/s-0.tar"]


def test_a_transfer_that_gets_on_is_not_ended(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_MUCH_NEW", 1000)
    server.cuts = [1000] * 9
    assert _fetch(server) == server.files["/s-0.tar"]
    assert len(server.asked) == 10 > web.TRIES


def test_a_server_that_is_busy_is_asked_again(server: Server) -> None:
    server.refusals = [(429, "3"), (503, None)]
    assert _fetch(server) == server.files["/s-0.tar"] and len(server.asked) == 3


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:700] if how == "cut" else content[:600] + b"?" + content[601:])


@pytest.mark.parametrize("how", ["cut", "changed"])
def test_a_damaged_shard_of_the_cache_is_named_and_fetched_anew(
    how: str, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"{server.address}/s-0.tar"
    _fetch(server)
    damage(cached_path(address), how)

    assert _fetch(server) == server.files["/s-0.tar"]
    assert address in caplog.text and "damaged" in caplog.text
    caplog.clear()
    assert _fetch(server) == server.files["/s-0.tar"]
    assert len(server.asked) == 2 and not caplog.records


def test_a_damaged_shard_of_the_cache_without_its_server_is_one_line(server: Server) -> None:
    _fetch(server)
    path = cached_path(f"{server.address}/s-0.tar")
    damage(path, "cut")
    server.refusals = [(404, None)]
    with raises_mentioning(ValueError, "damaged", 700, 10_240, 404) as failure:
        _fetch(server)
    assert str(path) in str(failure.value) and "\n" not in str(failure.value)


def test_what_is_whole_in_the_cache_is_read_again_only_where_it_may_have_changed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fetch(server)
    path = cached_path(f"{server.address}/s-0.tar")
    os.utime(path, (1e9, 1e9))  # as of an old file that was copied: it is summed once more
    _fetch(server)
    monkeypatch.setattr(cached_files, "file_sha256", lambda path: pytest.fail("it was read"))
    _fetch(server)
    assert len(server.asked) == 1


@pytest.mark.parametrize("record", [None, "", "[1]", '{"num_bytes": "1"}', "\xff", "{" * 5000])
def test_a_shard_without_a_record_is_taken_and_gets_one(record: str | None, server: Server) -> None:
    _fetch(server)
    path = cached_path(f"{server.address}/s-0.tar")
    beside = path.with_name(f"{path.name}.sum")
    beside.unlink() if record is None else beside.write_text(record)
    _fetch(server)
    damage(path, "cut")
    assert _fetch(server) == server.files["/s-0.tar"] and len(server.asked) == 2


def test_a_renewed_signature_finds_the_shard_that_is_there(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for signature in ("secret1", "secret2"):
        query = f"?X-Amz-Date=1&X-Amz-Signature={signature}"
        server.files[f"/s-0.tar{query}"] = server.files["/s-0.tar"]
        dataset = open_source(f"{server.address}/s-0.tar{query}").images(size=8)
        assert dataset.name_of(0) == f"000.png in {server.address}/s-0.tar"
    assert [path for path, _ in server.asked] == ["/s-0.tar?X-Amz-Date=1&X-Amz-Signature=secret1"]
    kept = [path for path in cache_folder().rglob("*") if path.is_file()]
    assert kept and not any("secret" in path.name or b"secret" in path.read_bytes() for path in kept)
    assert "secret" not in caplog.text and "secret" not in repr(vars(dataset))


@pytest.mark.parametrize("path", ["/none.tar", "/page.tar", "/{0..1}/*.tar"])
def test_no_message_shows_what_signs_an_address(path: str, server: Server) -> None:
    query = "?X-Amz-Signature=secret"
    server.files[f"/page.tar{query}"] = b"<html>"
    with pytest.raises(ValueError, match=r"\.tar") as failure:
        open_source(f"{server.address}{path}{query}").images(size=8)
    assert "secret" not in str(failure.value)


def test_leftovers_of_a_killed_process_are_cleared(server: Server) -> None:
    path = cached_path(f"{server.address}/s-0.tar")
    path.parent.mkdir(parents=True)
    others = [path.with_name(f".{path.name}.mine.tmp"), path.with_name(".notes.1.tmp")]
    for leftover in (path.with_name(f".{path.name}.1.tmp"), *others):
        leftover.touch()
    _fetch(server)
    assert sorted(path.parent.iterdir()) == sorted([*others, path, path.with_name(f"{path.name}.sum")])


def test_a_missing_file_and_a_missing_server(server: Server) -> None:
    with raises_mentioning(ValueError, "s-2.tar", 404, "address"):
        open_source(f"{server.address}/s-{{1..2}}.tar").images(size=8)
    assert _cached() == ["s-1.tar"]
    server.shutdown()
    server.server_close()
    with pytest.raises(ValueError, match=r"cannot fetch .*refused"):
        _fetch(server)


def test_a_page_in_the_place_of_a_shard_is_not_kept(server: Server) -> None:
    server.files["/s-0.tar"] = b"<html>log in first</html>" * 100
    with raises_mentioning(ValueError, f"{server.address}/s-0.tar", "tar file"):
        open_source(f"{server.address}/s-0.tar").images(size=8)
    assert _cached() == []


def test_a_full_disk_names_the_cache(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(web, "_receive", full)
    with raises_mentioning(OSError, "space", "AUTOLINK_GEN_CACHE"):
        _fetch(server)
    assert _cached() == []


def test_a_file_above_the_limit_is_not_fetched(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(server.files["/s-0.tar"])
    monkeypatch.setenv("AUTOLINK_GEN_MAX_DOWNLOAD", str(size - 1))
    with pytest.raises(ValueError, match=f"larger than {size - 1:,} bytes.* AUTOLINK_GEN_MAX_DOWNLOAD"):
        _fetch(server)
    assert _cached() == []
    monkeypatch.setenv("AUTOLINK_GEN_MAX_DOWNLOAD", str(size))
    assert _fetch(server) == server.files["/s-0.tar"]


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://a/b.tar", "data:,a", "http://[a/b.tar", "b.tar", "http:///b"]
)
def test_what_is_no_address_of_a_server_is_not_opened(url: str, server: Server) -> None:
    with pytest.raises(ValueError, match="address"):
        fetch(url, check=Path.stat)
    assert not cache_folder().exists()


def test_a_password_opens_an_address_and_is_kept_nowhere(server: Server) -> None:
    server.files["/s-0.tar"] = b"pictures"
    path = fetch(f"http://me:secret@127.0.0.1:{server.server_port}/s-0.tar", check=Path.stat)
    assert path == cached_path(f"{server.address}/s-0.tar") and path.read_bytes() == b"pictures"
    kept = b"".join(file.read_bytes() + str(file).encode() for file in cache_folder().rglob("*") if file.is_file())
    assert b"secret" not in kept and b"pictures" in kept
    with pytest.raises(ValueError, match="404") as failure:
        fetch(f"http://me:secret@127.0.0.1:{server.server_port}/none.tar", check=Path.stat)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    "name", ["%00%1b[2Ja", "..%2f..%2fb", "..", "", "é" * 300, "%F0%9F%98%80" * 90, "字" * 90, "a" * 5000]
)
def test_names_of_addresses_are_fit_for_a_file_system(name: str, server: Server) -> None:
    path = cached_path(f"{server.address}/x/{name}")
    assert path.parent == cache_folder() / "shards"
    path.parent.mkdir(parents=True)
    path.with_name(f".{path.name}.1234567.tmp").touch()
    assert path.name.isprintable() and len(path.name.encode()) < 100


def test_a_name_that_is_plain_keeps_its_place_in_the_cache() -> None:
    assert cached_path("https://a.b/c/birds-0.tar").name == "9eafef961e2e2382-birds-0.tar"


@pytest.mark.parametrize("folder", [True, False])
def test_what_is_in_the_way_of_the_cache_is_one_line(folder: bool, server: Server) -> None:
    path = cached_path(f"{server.address}/s-0.tar")
    path.parent.parent.mkdir()
    if folder:
        path.mkdir(parents=True)
    else:
        path.parent.write_text("mine")
    with pytest.raises((ValueError, OSError), match=r"set AUTOLINK_GEN_CACHE to|move it away"):
        _fetch(server)
    assert path.is_dir() if folder else path.parent.read_text() == "mine"
