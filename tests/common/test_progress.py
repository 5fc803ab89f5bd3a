"""Progress: bars for people, lines for files, nothing where it is hidden."""

import io
import sys
from collections.abc import Iterator

import pytest

from autolink_gen.common import progress
from autolink_gen.common.progress import hide_progress, progress_bar, shows_bars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def shown_again() -> Iterator[None]:
    yield
    hide_progress(False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds[0])
    return seconds


def work(clock: list[float], *, seconds_each: float) -> list[int]:
    done = []
    for item in progress_bar(range(10), 10, "finding\x1b[2J"):
        clock[0] += seconds_each
        done.append(item)
    return done


def test_a_file_gets_a_line_each_half_minute(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    assert work(clock, seconds_each=10.0) == list(range(10))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"finding\\x1b[2J: {done} of 10" for done in (3, 6, 9)]


def test_short_work_says_nothing_to_a_file(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    assert work(clock, seconds_each=1.0) == list(range(10))
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = progress_bar(range(3), 3, "finding\x1b[2J")
    assert shows_bars() and bar.desc == "finding\\x1b[2J"  # type: ignore[attr-defined]
    assert list(bar) == [0, 1, 2]


def test_a_notebook_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not shows_bars()
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert shows_bars()


def test_hidden_progress_shows_nothing_anywhere(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_progress(True)
    assert work(clock, seconds_each=60.0) == list(range(10))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert not shows_bars()
    hide_progress(False)
    assert shows_bars()


def test_a_program_without_a_standard_error_works_on(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert work(clock, seconds_each=1.0) == list(range(10))
