"""What tests do in the studio's page."""

import io
from collections.abc import Callable
from typing import Any

from PIL import Image

OpenTab = Callable[[str], Any]


def wait_painted(page: Any, times: int) -> None:
    """Until so many answers have come, and none is waited for."""
    page.wait_for_function(
        "times => Number(document.querySelector('[data-painted]:not([data-busy])')?.dataset.painted) >= times",
        arg=times,
    )


def painted_times(page: Any) -> int:
    return int(page.locator("[data-painted]").get_attribute("data-painted"))


def shown_picture(page: Any) -> str:
    return str(page.locator(".painted").get_attribute("href"))


def after(page: Any, act: Callable[[], object]) -> str:
    """The painted picture after an act, once the last answer has come."""
    before = painted_times(page)
    act()
    wait_painted(page, before + 1)
    return shown_picture(page)


def drag(page: Any, keypoint: int, dx: int, dy: int) -> None:
    box = page.locator(f"[data-keypoint='{keypoint}'] .knob").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=5)
    page.mouse.up()


def black_png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


def upload(page: Any, tab: str, name: str, content: bytes) -> None:
    page.set_input_files(f"#{tab}-tab .file", {"name": name, "mimeType": "image/png", "buffer": content})
