"""Milliseconds from the move of a dragged point to the new picture on the screen of the studio, in headless Chromium.

Run from the repository: python benchmarks/studio_drag.py

The time begins when the browser has the move and ends with the frame after the new picture was decoded: question,
painting, answer and decoding lie between. First each move waits for the picture of the one before, then the pointer
moves 60 times a second whatever comes.
"""

import json
import math
import os
from pathlib import Path
from typing import Any

import click
import numpy as np
from studio_page import chromium, open_page, open_paint, place_of, studio_at

_RADIUS = 0.08  # of the stage, of the circle on which the point goes
_RATE = 60  # moves a second

# Times of moves, and of pictures once they are on the screen.
_WATCH = """() => {
  window.moved = 0; window.shown = [];
  addEventListener("pointermove", (event) => { window.moved = event.timeStamp; }, true);
  new MutationObserver(async () => {
    const moved = window.moved, picture = new Image();
    picture.src = document.querySelector("#paint-tab .painted").getAttribute("href");
    await picture.decode();
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => window.shown.push([moved, performance.now()]);
      port2.postMessage(null);
    });
  }).observe(document.querySelector("#paint-tab .painted"), { attributeFilter: ["href"] });
}"""


def measure(page: Any, moves: int, keypoint: int | None) -> tuple[list[float], float]:
    """Milliseconds of each move that is waited for, and the pictures a second of moves that are not."""
    open_paint(page)
    page.evaluate(_WATCH)
    stage = page.locator("#paint-tab .painted").bounding_box()
    handle = page.locator("#paint-tab .handle").first.get_attribute("data-keypoint")
    x, y = place_of(page, int(handle) if keypoint is None else keypoint)
    reach = _RADIUS * stage["width"]

    def move(number: int) -> None:
        angle = 2 * math.pi * number / moves
        page.mouse.move(x + reach * math.sin(angle), y + reach * (1 - math.cos(angle)))

    page.mouse.move(x, y)
    page.mouse.down()
    move(0.5)  # the first is not counted
    page.wait_for_function("window.shown.length === 1")
    for number in range(moves):
        move(number)
        page.wait_for_function("count => window.shown.length === count", arg=number + 2)
    times = [shown - moved for moved, shown in page.evaluate("window.shown.slice(1)")]
    page.evaluate("window.shown = []")
    for number in range(moves):
        move(number + 0.25)
        page.wait_for_timeout(1000 / _RATE)
    page.mouse.up()
    page.wait_for_timeout(500)
    ends = page.evaluate("window.shown.map((pair) => pair[1])")
    return times, 1000 * (len(ends) - 1) / (ends[-1] - ends[0]) if len(ends) > 1 else 0.0


@click.command()
@click.option("--model", default="puppets", show_default=True, help="Run of a GAN.")
@click.option("--moves", type=click.IntRange(2), default=50, show_default=True)
@click.option("--keypoint", type=int, help="Which point is dragged. [default: the first]")
@click.option("--address", help="That of a studio which runs. [default: one is started]")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there.")
def main(model: str, moves: int, keypoint: int | None, address: str | None, json_file: Path | None) -> None:
    """Drag a point, and print a Markdown table."""
    with studio_at(address, model) as opened, chromium() as browser:
        page = open_page(browser, opened)
        times, rate = measure(page, moves, keypoint)
        size = int(page.locator("#paint-tab .overlay").get_attribute("viewBox").split()[2])
        version = browser.version
    median, late = np.percentile(times, [50, 95])
    figures = {"model": model, "size_px": size, "moves": moves, "median_ms": median, "percentile_95_ms": late,
               "pictures_a_second": rate, "times_ms": times, "chromium": version, "cores": os.cpu_count()}  # fmt: skip
    print(f"{model}, {size} px, Chromium {version}, {os.cpu_count()} cores\n")
    print("| moves | median, ms | 95th percentile, ms | pictures a second while the pointer moves |")
    print("|---|---|---|---|")
    print(f"| {moves} | {median:.0f} | {late:.0f} | {rate:.1f} |")
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
