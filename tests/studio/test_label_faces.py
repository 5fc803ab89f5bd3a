"""The Label tab on real faces: five landmarks clicked on five pictures, and found on fifty others.

The keypoints are those of the run that AUTOLINK_GEN_FACES_RUN names. Without it, they are stood in for by some of the
pictures' other landmarks, disturbed, and by some that say nothing: learning a graph of faces takes minutes.
--log-cli-level=info tells the error.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.studio_browser import open_browser
from helpers.tiny_models import tiny_graph
from studio_page import open_page

from autolink_gen import load_graph_model
from autolink_gen.data.images import read_image, to_array
from autolink_gen.data.landmarks import read_landmarks_csv
from autolink_gen.inference.landmark_regressor import LandmarkRegressor
from autolink_gen.studio.desks import Desks
from autolink_gen.studio.graphs import FoundPoints, GraphDesk
from autolink_gen.studio.painting import rounded

logger = logging.getLogger(__name__)
NAMES = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
_MARKED, _COUNT = 5, 55
_STAND_INS = (0, 8, 16, 21, 22, 27, 33, 51)  # of the 68 landmarks, none of them marked
_NUM_ASTRAY = 4


class StandInDesk(GraphDesk):
    """A desk that knows where the landmarks of its pictures are."""

    def __init__(self, files: list[Path], points: np.ndarray) -> None:
        super().__init__(tiny_graph(len(_STAND_INS) + _NUM_ASTRAY).eval(), name="faces")
        self._rows = {to_array(read_image(file)).tobytes(): row for row, file in enumerate(files)}
        draw = np.random.default_rng(0)
        near = 2 * points[:, _STAND_INS] - 1 + draw.normal(0, 0.04, (len(files), len(_STAND_INS), 2))
        self._keypoints = np.concatenate([near, draw.normal(0, 0.3, (len(files), _NUM_ASTRAY, 2))], axis=1)

    def find(self, pixels: np.ndarray) -> FoundPoints:
        keypoints = self._keypoints[self._rows[pixels.tobytes()]]
        return FoundPoints(rounded(keypoints), [1.0] * len(keypoints), [0.1] * len(_STAND_INS) + [0.6] * _NUM_ASTRAY)


@pytest.fixture(scope="module")
def faces(shared_dir: Path) -> tuple[list[Path], np.ndarray]:
    """Training pictures of as many people, and their 68 landmarks in [0, 1]."""
    folder = shared_dir / "data" / "faces68"
    if not folder.is_dir():
        pytest.skip(f"there are no faces in {folder}")
    table = read_landmarks_csv(folder / "landmarks_train.csv")
    _, rows = np.unique(table.people, return_index=True)
    rows = rows[:: len(rows) // _COUNT][:_COUNT]
    return [folder / "train" / table.files[row] for row in rows], table.points[rows]


@pytest.fixture(scope="module")
def faces_page(faces: tuple[list[Path], np.ndarray]) -> Iterator[Any]:
    """A studio on a graph of faces, at its Label tab."""
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'autolink-gen[studio]'")
    from autolink_gen.studio.server import serving

    run = os.environ.get("AUTOLINK_GEN_FACES_RUN")
    desk = GraphDesk(load_graph_model(run), name=run) if run else StandInDesk(*faces)
    with serving(Desks(desk)) as address, open_browser() as browser:
        page = open_page(browser, address)
        page.get_by_role("tab", name="Label").click()
        yield page


def marks_of(points: np.ndarray) -> np.ndarray:
    """The landmarks of `NAMES`, from the usual 68."""
    eyes = [points[:, eye].mean(axis=1) for eye in (slice(36, 42), slice(42, 48))]
    return np.stack([*eyes, points[:, 30], points[:, 48], points[:, 54]], axis=1)


def click_marks(page: Any, marks: np.ndarray) -> None:
    """Name the landmarks, and click them on the first pictures; the tab goes from each landmark to the next."""
    for name in NAMES:
        page.locator("#label-tab .name").fill(name)
        page.locator("#label-tab .add button").click()
    for number, points in enumerate(marks, start=1):
        page.get_by_role("button", name=f"picture {number}", exact=True).click()
        box = page.locator("#label-tab .overlay image").bounding_box()
        for x, y in points.tolist():
            page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.wait_for_function(f"document.querySelectorAll('#label-tab .mark').length === {len(NAMES)}")
    page.wait_for_selector("#label-tab .score:not([data-busy])")


def shown_rings(page: Any, count: int) -> np.ndarray:
    """Where the page shows the landmarks of its last pictures, as fractions."""
    return np.array(
        page.evaluate(
            """count => [...document.querySelectorAll("#label-tab .thumb")].slice(-count).map((thumb) => {
                thumb.click();
                const box = document.querySelector("#label-tab .overlay").getAttribute("viewBox");
                const [, , width, height] = box.split(" ");
                return [...document.querySelectorAll("#label-tab .found")].map(
                    (ring) => [ring.getAttribute("cx") / width, ring.getAttribute("cy") / height]);
            })""",
            count,
        )
    )


def test_five_clicks_on_five_faces_find_landmarks_on_fifty_others(
    faces: tuple[list[Path], np.ndarray], faces_page: Any
) -> None:
    files, points = faces
    true = marks_of(points)
    faces_page.set_input_files("#label-tab .file", files)
    faces_page.wait_for_function(f"document.querySelectorAll('#label-tab .thumb').length === {_COUNT}")
    click_marks(faces_page, true[:_MARKED])
    found = shown_rings(faces_page, _COUNT - _MARKED)
    error = 100 * np.linalg.norm(found - true[_MARKED:], axis=-1).mean()
    spread = 100 * np.linalg.norm(true[_MARKED:] - true[_MARKED:].mean(axis=0), axis=-1).mean()
    estimate = float(faces_page.locator("#label-tab .score").text_content().split(" %")[0].split()[-1])
    assert faces_page.locator("#label-tab .score").text_content().count(f"each of {_MARKED} pictures") == 1
    told = f"{error:.1f} % of the width, spread {spread:.1f} %, estimated {estimate:.1f} %"
    logger.info(told)
    assert error < 0.5 * spread, told
    assert 0.5 * error < estimate < 2 * error, told
    with faces_page.expect_download() as download:
        faces_page.get_by_role("button", name="Save landmarks.json").click()
    assert LandmarkRegressor.load(Path(download.value.path())).names == NAMES
