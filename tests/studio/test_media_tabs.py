"""Styles of pictures, videos and the camera in the studio, in headless Chromium."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.messages import assert_mentions
from helpers.studio_tabs import OpenTab, after, drag, painted_times, shown_picture, wait_painted
from helpers.tiny_train_gan import Squares
from helpers.video_clips import write_in
from PIL import Image
from studio_page import PATIENCE_MS

from autolink_gen import load_gan, load_graph_model
from autolink_gen.inference import generate
from autolink_gen.inference.generate import Gan
from autolink_gen.inference.styles import Styles, read_style
from autolink_gen.studio.desks import open_desks
from autolink_gen.studio.server import serving
from autolink_gen.studio.uploads import data_url, png_of
from autolink_gen.viz.graphs import to_uint8

pytest.importorskip("gradio", reason="gradio is not installed: pip install 'autolink-gen[studio]'")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")


def test_the_style_and_the_pose_of_a_picture_are_found_and_saved(
    open_tab: OpenTab, gan: Gan, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(generate, "load_lpips", Squares)
    monkeypatch.setattr(Styles, "steps", 3)
    page = open_tab("Paint")
    after(page, lambda: page.locator("#paint-tab .layers").fill("1"))
    first = after(page, lambda: page.locator("#paint-tab .truncation").fill("0.6"))

    def settings() -> list[str]:
        return [page.locator(f"#paint-tab {name}").input_value() for name in (".layers", ".truncation")]

    def find() -> None:
        file = {"name": "a.png", "mimeType": "image/png", "buffer": png_of(picture)}
        page.set_input_files("#paint-tab .style-file", file)
        page.wait_for_selector("#paint-tab .found:not([hidden])")

    shown = after(page, find)
    assert settings() == ["0", "1"], "it is the style of the picture and no other"
    files = {}
    for name in ("keypoints.json", "style.json"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Save {name}").click()
        files[name] = Path(download.value.path()).read_text()
    (tmp_path / "style.json").write_text(files["style.json"])
    style, keypoints = read_style(tmp_path / "style.json", gan), json.loads(files["keypoints.json"])["keypoints"]
    assert data_url(to_uint8(gan.paint(torch.tensor([keypoints]), style))[0]) == shown
    assert_mentions(page.locator("#paint-tab .still code").text_content(), "--style style.json")
    moved = after(page, lambda: drag(page, 0, 90, 40))
    assert moved != shown
    assert after(page, lambda: page.locator("#paint-tab .truncation").fill("0.5")) != moved
    for expected in (moved, shown, first):
        assert after(page, lambda: page.get_by_role("button", name="Undo").click()) == expected
    assert settings() == ["1", "0.6"]
    assert not page.locator("#paint-tab .found").is_visible()


def test_a_search_that_is_stopped_keeps_what_was_found(
    open_tab: OpenTab, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "load_lpips", Squares)
    monkeypatch.setattr(Styles, "steps", 10**6)
    page = open_tab("Paint")
    file = {"name": "a.png", "mimeType": "image/png", "buffer": png_of(picture)}
    page.set_input_files("#paint-tab .style-file", file)
    page.wait_for_function("document.querySelector('#paint-tab .job-text').textContent.includes('s left')")
    page.set_input_files("#paint-tab .style-file", file)
    assert_mentions(page.locator("#paint-tab .error:not(:empty)").text_content(), "already", "stop")
    page.locator("#paint-tab .stop").click()
    page.wait_for_selector("#paint-tab .found:not([hidden])")
    assert_mentions(page.locator("#paint-tab .found-text").text_content(), "a.png", "stopped", "1000000")


def test_the_poses_of_a_video_are_painted_one_after_the_other(open_tab: OpenTab, film: Path) -> None:
    page = open_tab("Paint")
    page.set_input_files("#paint-tab .file", film)
    page.wait_for_selector("#paint-tab .player:not([hidden])")
    first = shown_picture(page)
    last = after(page, lambda: page.locator("#paint-tab .frame").fill("11"))
    assert last != first
    assert_mentions(page.locator("#paint-tab .moving code").text_content(), "--from film.mp4", "--style 0")
    before = painted_times(page)
    page.locator("#paint-tab .play").click()
    page.wait_for_function("document.querySelector('#paint-tab .play').textContent === 'Play'")
    assert painted_times(page) > before + 1
    assert shown_picture(page) == last


def test_a_video_is_shown_frame_by_frame_with_its_points(open_tab: OpenTab, film: Path, tmp_path: Path) -> None:
    page = open_tab("Graph")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    page.set_input_files("#graph-tab .file", broken)
    assert_mentions(page.locator("#graph-tab .error:not(:empty)").text_content(), "broken.mp4")
    cut = write_in(tmp_path / "cut.webm", "webm", "libvpx", count=20)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    page.set_input_files("#graph-tab .file", cut)
    assert_mentions(page.locator("#graph-tab .remark:not(:empty)").text_content(), "cut.webm", "early")
    page.set_input_files("#graph-tab .file", film)
    page.wait_for_selector("#graph-tab .player:not([hidden]) .frame[max='11']")
    assert page.locator("#graph-tab .error").text_content() == ""
    assert page.locator("#graph-tab .remark").text_content() == ""

    def state() -> list[str]:
        dots = page.locator("#graph-tab .dot circle").evaluate_all("dots => dots.map(dot => dot.getAttribute('cx'))")
        return [*dots, page.locator("#graph-tab image").get_attribute("href")]

    first = state()
    page.locator("#graph-tab .frame").fill("11")
    assert not set(first) & set(state())
    rough = state()
    page.locator("#graph-tab .smooth").select_option("one-euro")
    assert state()[:-1] != rough[:-1]
    page.locator("#graph-tab .likelihood").fill("1")
    assert page.locator("#graph-tab .dot").count() == 0
    command = page.locator("#graph-tab code").text_content()
    assert_mentions(command, "detect film.mp4", "--smooth one-euro", "--min-likelihood 1")


def test_the_camera_s_pictures_are_looked_at_until_it_is_stopped(open_tab: OpenTab) -> None:
    page = open_tab("Graph")
    page.get_by_role("button", name="Camera", exact=True).click()
    page.wait_for_function("Number(document.querySelector('[data-live]')?.dataset.live) >= 3")
    assert page.locator("#graph-tab .overlay").get_attribute("viewBox") == "0 0 480 360"
    page.get_by_role("button", name="Stop the camera").click()
    assert page.locator("#graph-tab .error").text_content() == ""
    assert page.get_by_role("button", name="Camera", exact=True).is_visible()


@pytest.mark.parametrize(("problem", "word"), [("NotAllowedError", "refused"), ("NotFoundError", "no camera")])
def test_a_camera_that_is_refused_or_missing_gives_one_line(open_tab: OpenTab, problem: str, word: str) -> None:
    page = open_tab("Graph")
    page.evaluate(
        "name => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', name)); }", problem
    )
    page.get_by_role("button", name="Camera", exact=True).click()
    assert_mentions(page.locator("#graph-tab .error:not(:empty)").text_content(), word)


def test_without_a_run_the_packaged_puppets_are_painted(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(open_desks(None, device="cpu")) as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.get_by_role("tab", name="Paint").click()
        wait_painted(page, 1)
        painted = Image.open(io.BytesIO(base64.b64decode(shown_picture(page).partition(",")[2])))
        assert_mentions(page.locator("#paint-tab .still code").text_content(), "--model package:puppets")
        page.close()
    keypoints = load_graph_model("puppets").detect(painted)
    error = (keypoints - load_gan("puppets").poses[:1]).norm(dim=-1).mean()
    assert error < 0.3, "it is a puppet in that pose"
