"""`benchmarks/studio_drag.py` and `studio_pictures.py`: what they print and write is whole."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import studio_drag
import studio_pictures
from click.testing import CliRunner
from helpers.messages import assert_mentions
from helpers.studio_browser import skip_without_browser
from PIL import Image


def test_the_times_of_a_drag_are_told(studio_address: str, tmp_path: Path) -> None:
    skip_without_browser()
    file = tmp_path / "drag.json"
    options = ["--address", studio_address, "--model", "tiny", "--moves", "4", "--json", str(file)]
    result = CliRunner().invoke(studio_drag.main, options, catch_exceptions=False)
    figures = json.loads(file.read_text())
    assert (figures["model"], figures["size_px"], figures["moves"]) == ("tiny", 64, 4)
    assert len(figures["times_ms"]) == 4 and min(figures["times_ms"]) > 0
    assert min(figures["times_ms"]) <= figures["median_ms"] <= figures["percentile_95_ms"] <= max(figures["times_ms"])
    assert figures["pictures_a_second"] > 0
    told = (figures["median_ms"], figures["percentile_95_ms"])
    assert_mentions(result.output, "tiny", "64 px", f"| 4 | {told[0]:.0f} | {told[1]:.0f} | ")


def test_a_gif_that_would_be_too_large_is_made_smaller(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 400, 400, 3)).astype(np.uint8)
    sizes = []
    for frames in (noise[:2], noise):
        studio_pictures.write_gif([Image.fromarray(frame) for frame in frames], tmp_path / "drag.gif")
        assert (tmp_path / "drag.gif").stat().st_size <= studio_pictures.MOST_BYTES
        with Image.open(tmp_path / "drag.gif") as gif:
            sizes.append((gif.n_frames, gif.width))
    assert sizes[0] == (2, 400)
    assert sizes[1][0] == 8 and sizes[1][1] < 400


def test_a_forearm_goes_up_and_down_about_its_elbow() -> None:
    elbow, at = (-0.4, 0.1), {7: (-0.55, 0.15), 4: (-0.7, 0.2)}
    drags = [(keypoint, list(way)) for keypoint, way in studio_pictures.lift(at, [7, 4], elbow, outward=-1)]
    assert [keypoint for keypoint, _ in drags] == [7, 4] * 3
    for keypoint, way in drags:
        assert [math.dist(point, elbow) for point in way] == pytest.approx([math.dist(at[keypoint], elbow)] * len(way))
        assert max(x for x, _ in way) < elbow[0]
    (_, up), (_, down), (_, back) = drags[1::2]
    assert up[-1][1] < elbow[1] - 0.2 and down[-1][1] > at[4][1]
    assert back[-1] == pytest.approx(at[4])
