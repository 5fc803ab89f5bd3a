"""The studio in headless Chromium, as users have it."""

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.messages import assert_mentions
from helpers.studio_browser import open_browser
from helpers.tiny_train_gan import Squares
from PIL import Image

from autolink_gen import load_gan, load_graph_model
from autolink_gen.data.video.writer import VideoWriter
from autolink_gen.inference import generate
from autolink_gen.inference.generate import Gan
from autolink_gen.inference.landmark_regressor import LandmarkRegressor
from autolink_gen.inference.styles import Styles, read_style
from autolink_gen.studio.desks import open_desks
from autolink_gen.studio.painting import PaintingDesk, PaintRequest, StyleChoice
from autolink_gen.studio.server import serving
from autolink_gen.studio.uploads import data_url, png_of
from autolink_gen.viz.graphs import to_uint8

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
_PATIENCE_MS = 60_000
OpenTab = Callable[[str], Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def film(tmp_path: Path, picture: np.ndarray) -> Path:
    """Six frames of the picture, which moves to the right."""
    file = tmp_path / "film.mp4"
    with VideoWriter(file, fps=10) as writer:
        for step in range(6):
            writer.write(np.roll(picture, 5 * step, axis=1))
    return file


@pytest.fixture
def open_tab(studio_address: str, browser: Any) -> Iterator[OpenTab]:
    """Opens a page at a tab; at the end no page told of an error in its script, or asked another host."""
    problems: list[str] = []
    contexts = []

    def opened(name: str) -> Any:
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 900}))
        page = contexts[-1].new_page()
        page.set_default_timeout(_PATIENCE_MS)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: note(request.url))
        page.goto(studio_address)
        page.wait_for_selector("#graph-tab .dot")
        if name == "Paint":
            page.get_by_role("tab", name="Paint").click()
            _wait_painted(page, 1)
        return page

    def note(url: str) -> None:
        if not url.startswith((studio_address, "data:", "blob:")):
            problems.append(f"asked {url}")

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def _wait_painted(page: Any, times: int) -> None:
    """Until so many answers have come, and none is waited for."""
    page.wait_for_function(
        "times => Number(document.querySelector('[data-painted]:not([data-busy])')?.dataset.painted) >= times",
        arg=times,
    )


def _painted_times(page: Any) -> int:
    return int(page.locator("[data-painted]").get_attribute("data-painted"))


def _picture(page: Any) -> str:
    return str(page.locator(".painted").get_attribute("href"))


def _after(page: Any, act: Callable[[], object]) -> str:
    """The painted picture after an act, once the last answer has come."""
    before = _painted_times(page)
    act()
    _wait_painted(page, before + 1)
    return _picture(page)


def _drag(page: Any, keypoint: int, dx: int, dy: int) -> None:
    box = page.locator(f"[data-keypoint='{keypoint}'] .knob").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=5)
    page.mouse.up()


def _png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


def _upload(page: Any, tab: str, name: str, content: bytes) -> None:
    page.set_input_files(f"#{tab}-tab .file", {"name": name, "mimeType": "image/png", "buffer": content})


def test_a_dragged_point_changes_the_picture_and_undo_brings_it_back(open_tab: OpenTab) -> None:
    page = open_tab("Paint")
    first = _picture(page)
    dragged = _after(page, lambda: _drag(page, 0, 150, 90))
    assert dragged != first
    assert _after(page, lambda: page.get_by_role("button", name="Undo").click()) == first
    assert _after(page, lambda: page.get_by_role("button", name="Redo").click()) == dragged
    assert _after(page, lambda: page.get_by_role("button", name="Reset").click()) == first


def test_the_arrow_keys_move_the_point_that_has_the_focus(open_tab: OpenTab) -> None:
    page = open_tab("Paint")
    handle = page.get_by_role("slider", name="keypoint 1")
    before = float(handle.get_attribute("aria-valuenow"))
    handle.focus()
    _after(page, lambda: page.keyboard.press("Shift+ArrowRight"))
    assert float(handle.get_attribute("aria-valuenow")) == pytest.approx(before + 0.1, abs=1e-4)


def test_a_finger_moves_a_point_too(studio_address: str, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    page.goto(studio_address)
    page.get_by_role("tab", name="Paint").click()
    _wait_painted(page, 1)
    first = _picture(page)
    box = page.locator("[data-keypoint='0'] .knob").bounding_box()
    client = context.new_cdp_session(page)
    start = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    client.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [start]})
    for step in range(1, 6):
        point = {"x": start["x"] + 15 * step, "y": start["y"] + 8 * step}
        client.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    moved = _after(page, lambda: client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []}))
    context.close()
    assert moved != first


def test_style_mix_and_truncation_paint_as_the_gan_does(open_tab: OpenTab, gan: Gan) -> None:
    page = open_tab("Paint")
    for selector, value in ((".seed", "3"), (".second", "8"), (".layers", "1")):
        _after(page, lambda selector=selector, value=value: page.locator(f"#paint-tab {selector}").fill(value))
    shown = _after(page, lambda: page.locator("#paint-tab .truncation").fill("0.5"))
    desk = PaintingDesk(gan, name="tiny")
    style = StyleChoice(3, second_seed=8, fine_layers=1, truncation=0.5)
    assert shown == data_url(desk.paint(PaintRequest(desk.skeleton().poses[0], style)))


def test_saved_keypoints_and_picture_are_those_in_the_page(open_tab: OpenTab, gan: Gan) -> None:
    page = open_tab("Paint")
    shown = _after(page, lambda: _drag(page, 2, -60, 40))
    with page.expect_download() as download:
        page.get_by_role("button", name="Save keypoints.json").click()
    assert download.value.suggested_filename == "keypoints.json"
    keypoints = json.loads(Path(download.value.path()).read_text())["keypoints"]
    desk = PaintingDesk(gan, name="tiny")
    assert data_url(desk.paint(PaintRequest([tuple(point) for point in keypoints]))) == shown
    with page.expect_download() as download:
        page.get_by_role("button", name="Save PNG").click()
    assert Image.open(download.value.path()).size == (64, 64)
    assert_mentions(
        page.locator("#paint-tab .still code").text_content(), "autolink-gen generate", "--from keypoints.json"
    )


def test_the_pose_of_an_uploaded_picture_is_painted_on(open_tab: OpenTab) -> None:
    page = open_tab("Paint")
    first = _picture(page)
    assert _after(page, lambda: _upload(page, "paint", "a.png", _png(64, 64))) != first
    assert page.locator("#paint-tab .error").text_content() == ""


def test_an_uploaded_picture_is_shown_below_its_points(open_tab: OpenTab) -> None:
    page = open_tab("Graph")
    places = page.locator("#graph-tab .dot circle").evaluate_all("dots => dots.map(dot => dot.getAttribute('cx'))")
    _upload(page, "graph", "a.png", _png(80, 50))
    page.wait_for_selector("#graph-tab image")
    assert page.locator("#graph-tab .overlay").get_attribute("viewBox") == "0 0 80 50"
    now = page.locator("#graph-tab .dot circle").evaluate_all("dots => dots.map(dot => dot.getAttribute('cx'))")
    assert now != places
    assert all(0 <= float(x) <= 80 for x in now)


@pytest.mark.parametrize("tab", ["graph", "paint"])
def test_a_text_named_as_a_picture_gives_one_line(open_tab: OpenTab, tab: str) -> None:
    page = open_tab(tab.title())
    _upload(page, tab, "notes.png", b"these are just words")
    line = page.locator(f"#{tab}-tab .error:not(:empty)")
    assert_mentions(line.text_content(), "notes.png")
    assert "Traceback" not in page.content()
    _upload(page, tab, "a.png", _png(64, 64))  # and the next one is taken
    page.wait_for_function(f"document.querySelector('#{tab}-tab .error').textContent === ''")


def test_a_picture_of_400_million_pixels_gives_one_line(open_tab: OpenTab) -> None:
    page = open_tab("Graph")
    _upload(page, "graph", "huge.png", _png(20_000, 20_000))
    line = page.locator("#graph-tab .error:not(:empty)").text_content()
    assert_mentions(line, "huge.png", "20000", ("25,000,000", "25000000"))


def test_an_edge_that_is_clicked_is_hidden_until_all_are_shown(open_tab: OpenTab) -> None:
    page = open_tab("Graph")
    edges = page.locator("#graph-tab .edge")
    page.locator("#graph-tab .threshold").fill("1")
    assert edges.count() == 4
    edges.first.dispatch_event("click")
    assert edges.count() == 3
    page.get_by_role("button", name="Show all edges").click()
    assert edges.count() == 4


def test_edges_below_the_threshold_are_not_drawn(open_tab: OpenTab) -> None:
    page = open_tab("Graph")
    page.locator("#graph-tab .threshold").fill("100")
    assert page.locator("#graph-tab .edge").count() == 1
    assert_mentions(page.locator("#graph-tab code").text_content(), "--threshold 1")


def test_a_cluster_that_is_clicked_is_left_out_but_not_the_last(open_tab: OpenTab) -> None:
    page = open_tab("Graph")
    chips, dots = page.locator("#graph-tab .chip"), page.locator("#graph-tab .dot")
    assert (chips.count(), dots.count()) == (2, 5)
    chips.nth(0).click()
    page.wait_for_function("document.querySelectorAll('#graph-tab .dot').length === 2")
    assert_mentions(page.locator("#graph-tab code").text_content(), "--drop-cluster 0")
    chips.nth(1).click()
    page.wait_for_selector("#graph-tab .error:not(:empty)")
    assert dots.count() == 2
    chips.nth(0).click()
    page.wait_for_function("document.querySelectorAll('#graph-tab .dot').length === 5")


def test_points_tell_their_number_and_edges_their_weight(open_tab: OpenTab) -> None:
    page = open_tab("Graph")
    page.locator("#graph-tab .dot circle").first.hover()
    assert re.search(r"keypoint 0\b", page.locator("#graph-tab .point").text_content())


def test_two_tabs_at_once_keep_their_own_poses_and_styles(open_tab: OpenTab) -> None:
    first, second = open_tab("Paint"), open_tab("Paint")
    begun = _picture(second)
    assert begun == _picture(first)
    dragged = _after(first, lambda: _drag(first, 0, 120, 60))
    styled = _after(second, lambda: second.locator("#paint-tab .seed").fill("5"))
    assert len({begun, dragged, styled}) == 3
    assert _after(first, lambda: first.get_by_role("button", name="Reset").click()) == begun
    assert _after(second, lambda: second.locator("#paint-tab .seed").fill("0")) == begun


def test_the_picture_follows_up_to_the_last_of_many_moves(open_tab: OpenTab, gan: Gan) -> None:
    page = open_tab("Paint")
    _drag(page, 0, 30, 10)
    for _ in range(10):
        _drag(page, 0, 6, 5)
    _wait_painted(page, 2)
    desk = PaintingDesk(gan, name="tiny")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save keypoints.json").click()
    keypoints = np.array(json.loads(Path(download.value.path()).read_text())["keypoints"])
    now = page.locator("[data-keypoint='0']").get_attribute("aria-valuenow")
    assert keypoints[0, 0] == pytest.approx(float(now))
    assert _picture(page) == data_url(desk.paint(PaintRequest([(x, y) for x, y in keypoints.tolist()])))


def test_the_style_and_the_pose_of_a_picture_are_found_and_saved(
    open_tab: OpenTab, gan: Gan, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(generate, "load_lpips", Squares)
    monkeypatch.setattr(Styles, "steps", 3)
    page = open_tab("Paint")
    first = _picture(page)

    def find() -> None:
        file = {"name": "a.png", "mimeType": "image/png", "buffer": png_of(picture)}
        page.set_input_files("#paint-tab .style-file", file)
        page.wait_for_selector("#paint-tab .found:not([hidden])")

    shown = _after(page, find)
    files = {}
    for name in ("keypoints.json", "style.json"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Save {name}").click()
        files[name] = Path(download.value.path()).read_text()
    (tmp_path / "style.json").write_text(files["style.json"])
    style, keypoints = read_style(tmp_path / "style.json", gan), json.loads(files["keypoints.json"])["keypoints"]
    assert data_url(to_uint8(gan.paint(torch.tensor([keypoints]), style))[0]) == shown
    assert_mentions(page.locator("#paint-tab .still code").text_content(), "--style style.json")
    moved = _after(page, lambda: _drag(page, 0, 90, 40))
    assert moved != shown
    assert _after(page, lambda: page.locator("#paint-tab .truncation").fill("0.5")) != moved
    for expected in (moved, shown, first):
        assert _after(page, lambda: page.get_by_role("button", name="Undo").click()) == expected
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
    page.locator("#paint-tab .stop").click()
    page.wait_for_selector("#paint-tab .found:not([hidden])")
    assert_mentions(page.locator("#paint-tab .found-text").text_content(), "a.png", "stopped", "1000000")


def test_the_poses_of_a_video_are_painted_one_after_the_other(open_tab: OpenTab, film: Path) -> None:
    page = open_tab("Paint")
    page.set_input_files("#paint-tab .file", film)
    page.wait_for_selector("#paint-tab .player:not([hidden])")
    first = _picture(page)
    last = _after(page, lambda: page.locator("#paint-tab .frame").fill("5"))
    assert last != first
    assert_mentions(page.locator("#paint-tab .moving code").text_content(), "--from film.mp4", "--style 0")
    before = _painted_times(page)
    page.locator("#paint-tab .play").click()
    page.wait_for_function("document.querySelector('#paint-tab .play').textContent === 'Play'")
    assert _painted_times(page) > before + 1
    assert _picture(page) == last


def test_a_video_is_shown_frame_by_frame_with_its_points(open_tab: OpenTab, film: Path, tmp_path: Path) -> None:
    page = open_tab("Graph")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    page.set_input_files("#graph-tab .file", broken)
    assert_mentions(page.locator("#graph-tab .error:not(:empty)").text_content(), "broken.mp4")
    page.set_input_files("#graph-tab .file", film)
    page.wait_for_selector("#graph-tab .player:not([hidden])")
    assert page.locator("#graph-tab .error").text_content() == ""

    def state() -> list[str]:
        dots = page.locator("#graph-tab .dot circle").evaluate_all("dots => dots.map(dot => dot.getAttribute('cx'))")
        return [*dots, page.locator("#graph-tab image").get_attribute("href")]

    first = state()
    page.locator("#graph-tab .frame").fill("5")
    assert not set(first) & set(state())
    rough = state()
    page.locator("#graph-tab .smooth").check()
    assert state()[:-1] != rough[:-1]
    page.locator("#graph-tab .likelihood").fill("1")
    assert page.locator("#graph-tab .dot").count() == 0
    command = page.locator("#graph-tab code").text_content()
    assert_mentions(command, "detect film.mp4", "--smooth", "--min-likelihood 1")


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
        page.set_default_timeout(_PATIENCE_MS)
        page.goto(address)
        page.get_by_role("tab", name="Paint").click()
        _wait_painted(page, 1)
        painted = Image.open(io.BytesIO(base64.b64decode(_picture(page).partition(",")[2])))
        assert_mentions(page.locator("#paint-tab .still code").text_content(), "--model package:puppets")
        page.close()
    keypoints = load_graph_model("puppets").detect(painted)
    error = (keypoints - load_gan("puppets").poses[:1]).norm(dim=-1).mean()
    assert error < 0.3, "it is a puppet in that pose"


def test_landmarks_marked_on_pictures_are_found_on_others(open_tab: OpenTab, gan: Gan, tmp_path: Path) -> None:
    page = open_tab("Graph")
    page.get_by_role("tab", name="Label").click()
    files = [{"name": f"{side}.png", "mimeType": "image/png", "buffer": _png(side, side)} for side in (64, 80, 96)]
    page.set_input_files("#label-tab .file", files)
    page.wait_for_function("document.querySelectorAll('#label-tab .thumb').length === 3")
    for name in ("nose", "left_eye"):
        page.locator("#label-tab .name").fill(name)
        page.get_by_role("button", name="Add").click()
    for picture in (1, 2):
        page.get_by_role("button", name=f"picture {picture}", exact=True).click()
        for chip, x, y in ((0, 0.4, 0.5), (1, 0.6, 0.3)):
            page.locator("#label-tab .chip").nth(chip).click()
            box = page.locator("#label-tab .overlay image").bounding_box()
            page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.wait_for_function("document.querySelector('#label-tab .score').textContent.includes('%')")
    page.get_by_role("button", name="picture 3", exact=True).click()
    rings = page.locator("#label-tab .found")
    assert rings.count() == 2
    with page.expect_download() as download:
        page.get_by_role("button", name="Save landmarks.json").click()
    regressor = LandmarkRegressor.load(Path(download.value.path()))
    regressor.check_graph(gan.edge_weights, run="tiny")
    assert regressor.names == ("nose", "left_eye")
    assert float(rings.first.get_attribute("cx")) / 96 == pytest.approx(0.4, abs=0.1)
