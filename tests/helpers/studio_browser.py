"""Headless Chromium for tests of the studio; a skipped test says what is missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from studio_page import chromium, chromium_path


@contextmanager
def open_browser() -> Iterator[Any]:
    """A browser of Playwright's, closed at the end."""
    skip_without_browser()
    with chromium() as browser:
        yield browser


def skip_without_browser() -> None:
    """The test is skipped where Playwright or Chromium is missing."""
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if chromium_path() is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
