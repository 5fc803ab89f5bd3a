"""A studio of its own process, and its page in headless Chromium."""

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

PATIENCE_MS = 60_000
_ADDRESS = re.compile(r"open at (http://\S+?)/?;")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # a camera that shows a clock, and is allowed
    "--use-fake-ui-for-media-stream",
)


@contextmanager
def studio_at(address: str | None, model: str) -> Iterator[str]:
    """The address of a studio that runs, else of one that is started on a model and ends with the block."""
    if address is not None:
        yield address.rstrip("/")
        return
    command = [sys.executable, "-m", "autolink_gen", "studio", model, "--no-browser"]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            found = next((match for line in process.stdout if (match := _ADDRESS.search(line))), None)
            if found is None:
                said.seek(0)
                raise click.ClickException(f"{' '.join(command)} opens no studio: {said.read()}")
            yield found[1]
        finally:
            process.send_signal(signal.SIGINT)


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """A browser of Playwright's with arguments of the command line, closed at the end; ClickException without one."""
    path = chromium_path()
    if path is None:
        raise click.ClickException("there is no Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=[*_ARGUMENTS, *arguments])
        try:
            yield browser
        finally:
            browser.close()


def chromium_path() -> str | None:
    """The system's Chromium; None where there is none."""
    return next((path for name in _BROWSERS if (path := shutil.which(name))), None)


def open_page(browser: Any, address: str, *, width: int = 1280, height: int = 900) -> Any:
    """The studio in a window of so many pixels, ready."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.wait_for_selector("#graph-tab .dot")
    return page


def open_paint(page: Any) -> None:
    """Open the Paint tab, and wait until it has painted."""
    page.get_by_role("tab", name="Paint").click()
    page.wait_for_selector("#paint-tab[data-painted], #paint-tab [data-painted]")


def place_of(page: Any, keypoint: int) -> tuple[float, float]:
    """Where a keypoint's handle is in the window, in pixels."""
    box = page.locator(f"[data-keypoint='{keypoint}'] .knob").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
