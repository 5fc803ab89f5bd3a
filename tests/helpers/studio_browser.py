"""Headless Chromium for tests of the studio; a skipped test says what is missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from studio_page import chromium, chromium_path


@contextmanager
def open_browser(*, camera: Path | None = None) -> Iterator[Any]:
    """A browser of Playwright's, closed at the end; its camera shows a .y4m file, or a pattern."""
    skip_without_browser()
    arguments = () if camera is None else (f"--use-file-for-fake-video-capture={camera}",)
    with chromium(*arguments) as browser:
        yield browser


def skip_without_browser() -> None:
    """The test is skipped where Playwright or Chromium is missing."""
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if chromium_path() is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
