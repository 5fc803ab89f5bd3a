"""The studio in headless Chromium, as users have it."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.messages import assert_mentions
from helpers.studio_tabs import OpenTab, after, black_png, drag, shown_picture, upload, wait_painted
from PIL import Image
from studio_page import PATIENCE_MS

from autolink_gen.inference.generate import Gan
from autolink_gen.inference.landmark_regressor import LandmarkRegressor
from autolink_gen.studio.painting import PaintingDesk, PaintRequest, StyleChoice
from autolink_gen.studio.uploads import data_url

pytest.importorskip("sklearn", reason="scikit-learn is not installed")


def test_a_dragged_point_changes_the_picture_and_undo_brings_it_back(open_tab: OpenTab) -> None:
    page = open_tab("Paint")
    first = shown_picture(page)
    dragged = after(page, lambda: drag(page, 0, 150, 90))
    assert dragged != first
    assert after(page, lambda: page.get_by_role("button", name="Undo").click()) == first
    assert after(page, lambda: page.get_by_role("button", name="Redo").click()) == dragged
    assert after(page, lambda: page.get_by_role("button", name="Reset").click()) == first


def test_the_arrow_keys_move_the_point_that_has_the_focus(open_tab: OpenTab) -> None:
    page = open_tab("Paint")
    handle = page.get_by_role("slider", name="keypoint 1")
    before = float(handle.get_attribute("aria-valuenow"))
    handle.focus()
    after(page, lambda: page.keyboard.press("Shift+ArrowRight"))
    assert float(handle.get_attribute("aria-valuenow")) == pytest.approx(before + 0.1, abs=1e-4)


def test_a_finger_moves_a_point_too(studio_address: str, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(studio_address)
    page.get_by_role("tab", name="Paint").click()
    wait_painted(page, 1)
    first = shown_picture(page)
    box = page.locator("[data-keypoint='0'] .knob").bounding_box()
    client = context.new_cdp_session(page)
    start = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    client.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [start]})
    for step in range(1, 6):
        point = {"x": start["x"] + 15 * step, "y": start["y"] + 8 * step}
        client.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    moved = after(page, lambda: client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []}))
    context.close()
    assert moved != first


def test_style_mix_and_truncation_paint_as_the_gan_does(open_tab: OpenTab, gan: Gan) -> None:
    page = open_tab("Paint")
    for selector, value in ((".seed", "3"), (".second", "8"), (".layers", "1")):
        after(page, lambda selector=selector, value=value: page.locator(f"#paint-tab {selector}").fill(value))
    shown = after(page, lambda: page.locator("#paint-tab .truncation").fill("0.5"))
    desk = PaintingDesk(gan, name="tiny")
    style = StyleChoice(3, second_seed=8, fine_layers=1, truncation=0.5)
    assert shown == data_url(desk.paint(PaintRequest(desk.skeleton().poses[0], style)))


def test_saved_keypoints_and_picture_are_those_in_the_page(open_tab: OpenTab, gan: Gan) -> None:
    page = open_tab("Paint")
    shown = after(page, lambda: drag(page, 2, -60, 40))
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
    first = shown_picture(page)
    assert after(page, lambda: upload(page, "paint", "a.png", black_png(64, 64))) != first
    assert page.locator("#paint-tab .error").text_content() == ""


def test_an_uploaded_picture_is_shown_below_its_points(open_tab: OpenTab) -> None:
    page = open_tab("Graph")
    places = page.locator("#graph-tab .dot circle").evaluate_all("dots => dots.map(dot => dot.getAttribute('cx'))")
    upload(page, "graph", "a.png", black_png(80, 50))
    page.wait_for_selector("#graph-tab image")
    assert page.locator("#graph-tab .overlay").get_attribute("viewBox") == "0 0 80 50"
    now = page.locator("#graph-tab .dot circle").evaluate_all("dots => dots.map(dot => dot.getAttribute('cx'))")
    assert now != places
    assert all(0 <= float(x) <= 80 for x in now)


@pytest.mark.parametrize("tab", ["graph", "paint"])
def test_a_text_named_as_a_picture_gives_one_line(open_tab: OpenTab, tab: str) -> None:
    page = open_tab(tab.title())
    upload(page, tab, "notes.png", b"these are just words")
    line = page.locator(f"#{tab}-tab .error:not(:empty)")
    assert_mentions(line.text_content(), "notes.png")
    assert "Traceback" not in page.content()
    upload(page, tab, "a.png", black_png(64, 64))  # and the next one is taken
    page.wait_for_function(f"document.querySelector('#{tab}-tab .error').textContent === ''")


def test_a_picture_of_400_million_pixels_gives_one_line(open_tab: OpenTab) -> None:
    page = open_tab("Graph")
    upload(page, "graph", "huge.png", black_png(20_000, 20_000))
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
    page.locator("#graph-tab .edge").last.dispatch_event("pointerover")  # the heaviest is drawn last, on top
    assert_mentions(page.locator("#graph-tab .point").text_content(), "edge 0–1", "100 %")
    page.mouse.move(1, 1)
    page.wait_for_function("document.querySelector('#graph-tab .point').textContent === ''")


def test_two_tabs_at_once_keep_their_own_poses_and_styles(open_tab: OpenTab) -> None:
    first, second = open_tab("Paint"), open_tab("Paint")
    begun = shown_picture(second)
    assert begun == shown_picture(first)
    dragged = after(first, lambda: drag(first, 0, 120, 60))
    styled = after(second, lambda: second.locator("#paint-tab .seed").fill("5"))
    assert len({begun, dragged, styled}) == 3
    assert after(first, lambda: first.get_by_role("button", name="Reset").click()) == begun
    assert after(second, lambda: second.locator("#paint-tab .seed").fill("0")) == begun


def test_the_picture_follows_up_to_the_last_of_many_moves(open_tab: OpenTab, gan: Gan) -> None:
    page = open_tab("Paint")
    drag(page, 0, 30, 10)
    for _ in range(10):
        drag(page, 0, 6, 5)
    wait_painted(page, 2)
    desk = PaintingDesk(gan, name="tiny")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save keypoints.json").click()
    keypoints = np.array(json.loads(Path(download.value.path()).read_text())["keypoints"])
    now = page.locator("[data-keypoint='0']").get_attribute("aria-valuenow")
    assert keypoints[0, 0] == pytest.approx(float(now))
    assert shown_picture(page) == data_url(desk.paint(PaintRequest([(x, y) for x, y in keypoints.tolist()])))


def test_a_name_that_no_landmark_can_have_gives_one_line(open_tab: OpenTab) -> None:
    page = open_tab("Graph")
    page.get_by_role("tab", name="Label").click()
    error, chips = page.locator("#label-tab .error"), page.locator("#label-tab .chip")

    def add(name: str) -> str:
        page.locator("#label-tab .name").fill(name)
        page.get_by_role("button", name="Add").click()
        return str(error.text_content())

    assert_mentions(add("left.eye"), "left.eye", "letters")
    assert (add("nez é_1"), chips.count()) == ("", 1)
    assert_mentions(add("nez é_1"), "nez é_1", "already")
    assert chips.count() == 1


def test_landmarks_marked_on_pictures_are_found_on_others(open_tab: OpenTab, gan: Gan, tmp_path: Path) -> None:
    page = open_tab("Graph")
    page.get_by_role("tab", name="Label").click()
    files = [{"name": f"{side}.png", "mimeType": "image/png", "buffer": black_png(side, side)} for side in (64, 80, 96)]
    invitation = page.locator("#label-tab figcaption")
    assert invitation.is_visible()
    page.set_input_files("#label-tab .file", files)
    page.wait_for_function("document.querySelectorAll('#label-tab .thumb').length === 3")
    assert not invitation.is_visible()
    for name in ("nose", "left-eye"):
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
    is_held = "!window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert page.evaluate(is_held)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save landmarks.json").click()
    assert not page.evaluate(is_held)
    regressor = LandmarkRegressor.load(Path(download.value.path()))
    regressor.check_graph(gan.edge_weights, run="tiny")
    assert regressor.names == ("nose", "left-eye")
    assert float(rings.first.get_attribute("cx")) / 96 == pytest.approx(0.4, abs=0.1)
    page.locator("#label-tab .chip").nth(1).click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove left-eye").click()
    page.wait_for_function("document.querySelectorAll('#label-tab .found').length === 1")
    page.wait_for_selector("#label-tab .save:enabled")
    assert page.locator("#label-tab .chip").count() == 1
