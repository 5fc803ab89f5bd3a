"""The cache's folder, its locks, and what killed processes left in it."""

import os
import time
from pathlib import Path

import pytest
from helpers.messages import raises_mentioning

from autolink_gen.common.cache import DAY_S, cache_folder, cache_lock, cache_subfolder, clear_leftovers


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOLINK_GEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_lock_that_leads_to_a_file_leaves_the_file_whole(cache: Path, tmp_path: Path) -> None:
    mine = tmp_path / "thesis.txt"
    mine.write_text("three years of work")
    cache.mkdir()
    (cache / "weights.lock").symlink_to(mine)
    with pytest.raises(ValueError, match=r"weights\.lock.*set AUTOLINK_GEN_CACHE"), cache_lock("weights"):
        pass
    assert mine.read_text() == "three years of work"


def test_a_file_in_the_place_of_a_lock_is_not_cut(cache: Path) -> None:
    cache.mkdir()
    (cache / "weights.lock").write_text("mine")
    with cache_lock("weights"):
        pass
    assert (cache / "weights.lock").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_or_a_folder_in_the_place_of_a_lock_is_one_line(cache: Path) -> None:
    cache.mkdir()
    os.mkfifo(cache / "weights.lock")
    (cache / "shards.lock").mkdir()
    for name in ("weights", "shards"):
        with pytest.raises(ValueError, match=rf"{name}\.lock.*set AUTOLINK_GEN_CACHE"), cache_lock(name):
            pass


def test_a_file_in_the_place_of_a_folder_is_one_line(cache: Path) -> None:
    cache.mkdir()
    (cache / "shards").write_text("mine")
    with pytest.raises(ValueError, match="set AUTOLINK_GEN_CACHE"):
        cache_subfolder("shards")
    assert (cache / "shards").read_text() == "mine"


def test_the_home_of_nobody_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLINK_GEN_CACHE", "~nobody-of-that-name/cache")
    with pytest.raises(ValueError, match="AUTOLINK_GEN_CACHE is ~nobody-of-that-name"):
        cache_folder()


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(name: str) -> str:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("AUTOLINK_GEN_CACHE")
    monkeypatch.setattr("autolink_gen.common.cache.user_cache_dir", homeless)
    with raises_mentioning(ValueError, "home", "cache", "AUTOLINK_GEN_CACHE"):
        cache_folder()


def test_leftovers_are_known_by_their_names(tmp_path: Path) -> None:
    ours = tmp_path / ".a.tar.12.tmp"
    others = [".a.tar.x.tmp", ".a.tar.12.tmp.bak", "a.tar.12.tmp", ".aXtar.12.tmp", ".b.tar.12.tmp", "a.tar"]
    for name in (ours.name, *others):
        (tmp_path / name).write_text("x")
    (tmp_path / ".a.tar.13.tmp").mkdir()
    (tmp_path / ".a.tar.14.tmp").symlink_to(tmp_path / "a.tar")
    clear_leftovers(tmp_path / "a.tar", alone=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, ".a.tar.13.tmp", ".a.tar.14.tmp"])
    clear_leftovers(tmp_path / "no-folder" / "a.tar", alone=True)


def test_without_a_lock_only_old_leftovers_go(tmp_path: Path) -> None:
    young, old = tmp_path / ".a.1.tmp", tmp_path / ".a.2.tmp"
    for path in (young, old):
        path.write_text("x")
    os.utime(old, (time.time() - DAY_S - 60,) * 2)
    clear_leftovers(tmp_path / "a", alone=False)
    assert list(tmp_path.iterdir()) == [young]


def test_only_one_process_holds_a_lock(cache: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="this system has no fcntl, so no lock")
    with cache_lock("weights") as alone:
        assert alone
        with (cache / "weights.lock").open("w") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (cache / "weights.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
