"""`benchmarks/studio_drag.py`: what it prints is whole."""

import json
from pathlib import Path

import studio_drag
from click.testing import CliRunner
from helpers.messages import assert_mentions
from helpers.studio_browser import skip_without_browser


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
