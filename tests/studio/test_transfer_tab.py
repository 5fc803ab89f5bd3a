"""The studio's Transfer tab in headless Chromium, whose camera shows a clip."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.messages import assert_mentions
from helpers.studio_browser import open_browser
from helpers.studio_tabs import OpenTab
from helpers.video_clips import make_frames, write_click, write_clip
from PIL import Image

from autolink_gen.data.video.reader import VideoReader
from autolink_gen.data.video.writer import VideoWriter

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
_TAB = "#transfer-tab"


def _write_camera(path: Path) -> Path:
    """Grey frames as a camera gives them, uncompressed."""
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W320 H240 F25:1 Ip A1:1 C420\n")
        for frame in make_frames(10, height=240, width=320):
            file.write(b"FRAME\n" + frame[..., 0].tobytes() + bytes([128]) * (320 * 240 // 2))
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with open_browser(camera=_write_camera(tmp_path_factory.mktemp("camera") / "camera.y4m")) as opened:
        yield opened


@pytest.fixture
def page(open_tab: OpenTab) -> Any:
    opened = open_tab("Transfer")
    opened.get_by_role("tab", name="Transfer").click()
    opened.wait_for_selector(f"{_TAB} .go")
    return opened


@pytest.fixture
def source(tmp_path: Path) -> Path:
    Image.fromarray(make_frames(1, height=64, width=64)[0]).save(tmp_path / "source.png")
    return tmp_path / "source.png"


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    sound = write_click(tmp_path / "click.wav", at_s=0.1, length_s=0.4)
    return write_clip(tmp_path / "driver.mp4", 10, sound=sound)


@pytest.fixture
def long_driver(tmp_path: Path) -> Path:
    with VideoWriter(tmp_path / "long.mp4", fps=25) as writer:
        for frame in make_frames(20) * 30:
            writer.write(frame)
    return tmp_path / "long.mp4"


def _choose(page: Any, name: str, file: Path) -> None:
    page.set_input_files(f"{_TAB} .{name}-file", file)
    page.wait_for_function(
        "([tab, name, file]) => document.querySelector(`${tab} .${name}-facts`).textContent.startsWith(file)",
        arg=[_TAB, name, file.name],
    )


def _result_size(page: Any) -> list[int]:
    """Width and height of the result, once the browser can play it."""
    page.wait_for_function("tab => document.querySelector(`${tab} .result video`).readyState >= 2", arg=_TAB)
    film = page.locator(f"{_TAB} .result video")
    return list(film.evaluate("film => [film.videoWidth, film.videoHeight]"))


def test_a_source_that_is_moved_is_played_with_its_sound_and_saved(
    page: Any, source: Path, driver: Path, tmp_path: Path
) -> None:
    _choose(page, "source", source)
    _choose(page, "driver", driver)
    page.locator(f"{_TAB} .layout").select_option("side_by_side")
    page.locator(f"{_TAB} .width").fill("64")
    page.get_by_role("button", name="Make the video").click()
    assert _result_size(page) == [256, 64]
    assert_mentions(page.locator(f"{_TAB} code").text_content(), "source.png driver.mp4", "--side-by-side --size 64")
    with page.expect_download() as download:
        page.get_by_role("link", name="Save it").click()
    assert download.value.suggested_filename == "source-driver.mp4"
    download.value.save_as(tmp_path / "saved.mp4")
    saved = VideoReader(tmp_path / "saved.mp4")
    assert (saved.num_frames, saved.has_audio) == (10, True)


def test_a_film_of_the_camera_is_a_driver(page: Any, source: Path, tmp_path: Path) -> None:
    _choose(page, "source", source)
    page.get_by_role("button", name="Record a driver").click()
    page.wait_for_function("tab => document.querySelector(`${tab} .camera`).videoWidth > 0", arg=_TAB)
    page.wait_for_timeout(600)
    page.get_by_role("button", name="Stop recording").click()
    page.wait_for_function(
        "tab => document.querySelector(`${tab} .driver-facts`).textContent.startsWith('webcam')", arg=_TAB
    )
    with page.expect_download() as download:
        page.get_by_role("link", name="Save the recording").click()
    download.value.save_as(tmp_path / download.value.suggested_filename)
    frame = next(iter(VideoReader(tmp_path / download.value.suggested_filename)))
    assert np.abs(frame[:40, :40].astype(int) - 255).max() < 40
    page.get_by_role("button", name="Make the video").click()
    assert _result_size(page) == [64, 64]


@pytest.mark.parametrize("name", ["source", "driver"])
def test_what_is_no_video_gives_one_line_and_the_rest_stays(
    page: Any, source: Path, driver: Path, tmp_path: Path, name: str
) -> None:
    _choose(page, "source", source)
    _choose(page, "driver", driver)
    (tmp_path / "notes.mp4").write_text("these are just words")
    page.set_input_files(f"{_TAB} .{name}-file", tmp_path / "notes.mp4")
    assert_mentions(page.locator(f"{_TAB} .error:not(:empty)").text_content(), "notes.mp4")
    assert "Traceback" not in page.content()
    page.get_by_role("button", name="Make the video").click()
    assert _result_size(page) == [64, 64]


def test_stop_ends_the_work_and_another_can_begin(page: Any, source: Path, long_driver: Path) -> None:
    _choose(page, "source", source)
    _choose(page, "driver", long_driver)
    page.locator(f"{_TAB} .width").fill("512")
    page.get_by_role("button", name="Make the video").click()
    page.wait_for_function(
        "tab => / [1-9]\\d* of 600/.test(document.querySelector(`${tab} .job-text`).textContent)", arg=_TAB
    )
    page.get_by_role("button", name="Stop", exact=True).click()
    page.wait_for_selector(f"{_TAB} .remarks li")
    assert_mentions(page.locator(f"{_TAB} .remarks").text_content(), "early", "stopped")
    assert page.get_by_role("button", name="Make the video").is_enabled()


def test_a_page_waits_while_another_is_at_work(page: Any, source: Path, driver: Path, long_driver: Path) -> None:
    _choose(page, "source", source)
    _choose(page, "driver", long_driver)
    page.locator(f"{_TAB} .width").fill("512")
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("tab", name="Transfer").click()
    _choose(other, "source", source)
    _choose(other, "driver", driver)
    page.get_by_role("button", name="Make the video").click()
    page.wait_for_selector(f"{_TAB} .job-text:has-text('of 600')")
    other.get_by_role("button", name="Make the video").click()
    other.wait_for_selector(f"{_TAB} .job-text:has-text('Waits')")
    page.get_by_role("button", name="Stop", exact=True).click()
    assert _result_size(other) == [64, 64]
