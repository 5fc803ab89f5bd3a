"""Pictures of the studio for the documentation: every tab, and a GIF of points that are dragged, the picture following.

Run from the repository: python benchmarks/studio_pictures.py FOLDER

Writes TAB-1280.png and TAB-390.png of each tab, by its name in small letters, in windows so many pixels wide, and
drag.gif: a forearm of a puppet goes up and down, then a foot sideways and back. All tabs show puppets. Each frame of
the GIF waits for its picture, so it shows what follows a move, not how soon: that is studio_drag.py's.
The documentation's GIF is made by --pose 1 --seed 1.
"""

import io
import itertools
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image, ImageDraw
from studio_page import chromium, open_page, open_paint, place_of, studio_at

from autolink_gen import verbs
from autolink_gen.data.puppets.dataset import JOINT_NAMES, Puppets, puppet_clip
from autolink_gen.data.video.writer import VideoWriter
from autolink_gen.studio.uploads import png_of

WIDTHS = {1280: 900, 390: 844}
FRAME_MS = 80
MOST_BYTES = 10**6
_QUALITIES = ((400, 256), (400, 128), (360, 128), (320, 96), (280, 64), (240, 64), (200, 48))  # side in pixels, colours
_SAME_LEVELS = 10  # of 256
_UP, _DOWN = -1.3, 0.8  # radians
_ARROW = ((0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12))
_MARKED = ("head", "right_wrist", "left_ankle")

Point = tuple[float, float]
Drag = tuple[int, Iterator[Point]]


# ---- tabs ----


def shoot_tabs(browser: Any, address: str, folder: Path) -> list[Path]:
    """A screenshot of each tab at each width."""
    files = []
    for width, height in WIDTHS.items():
        page = open_page(browser, address, width=width, height=height)
        for name in page.get_by_role("tab").all_text_contents():
            page.get_by_role("tab", name=name).click()
            _PREPARE.get(name, lambda page: None)(page)
            page.wait_for_timeout(500)
            files.append(folder / f"{name.lower()}-{width}.png")
            page.mouse.move(0, 0)
            page.screenshot(path=files[-1], full_page=True)
        page.close()
    return files


def show_a_puppet(page: Any) -> None:
    """Let the Graph tab find a puppet's keypoints."""
    page.set_input_files("#graph-tab .file", _puppets(1))
    page.wait_for_selector("#graph-tab image")


def label_puppets(page: Any) -> None:
    """Name joints on two of six puppets, and show a third."""
    page.set_input_files("#label-tab .file", _puppets(6))
    page.wait_for_function("document.querySelectorAll('#label-tab .thumb').length === 6")
    for name in _MARKED:
        page.locator("#label-tab .name").fill(name)
        page.locator("#label-tab .add button").click()
    for number in range(2):
        page.locator("#label-tab .thumb").nth(number).click()
        joints = (Puppets(split="test").annotated(number).joints + 1) / 2
        for chip, name in enumerate(_MARKED):
            page.locator("#label-tab .chip").nth(chip).click()
            picture = page.locator("#label-tab .overlay image")
            picture.scroll_into_view_if_needed()
            box, (x, y) = picture.bounding_box(), map(float, joints[JOINT_NAMES.index(name)])
            page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.wait_for_function("document.querySelector('#label-tab .score').textContent.includes('%')")
    page.locator("#label-tab .thumb").nth(2).click()


def move_a_puppet(page: Any) -> None:
    """Let the Transfer tab move a puppet as another does; nothing where there is no network for it."""
    if not page.locator("#transfer-tab .go").count():
        return
    frames, _ = puppet_clip(0, 1, num_frames=12, size=128)
    with tempfile.TemporaryDirectory() as folder:
        driver = Path(folder) / "driver.mp4"
        with VideoWriter(driver, fps=10) as writer:
            for frame in frames:
                writer.write(frame)
        page.set_input_files("#transfer-tab .source-file", _puppets(1))
        page.set_input_files("#transfer-tab .driver-file", driver)
        page.locator("#transfer-tab .go:not([disabled])").click()
        page.wait_for_selector("#transfer-tab .result video:not([hidden])")


_PREPARE: dict[str, Callable[[Any], None]] = {
    "Graph": show_a_puppet,
    "Paint": open_paint,
    "Transfer": move_a_puppet,
    "Label": label_puppets,
}


def _puppets(count: int) -> list[dict[str, Any]]:
    data = Puppets(split="test")
    return [
        {"name": f"puppet-{row}.png", "mimeType": "image/png", "buffer": png_of(data.annotated(row).image)}
        for row in range(count)
    ]


# ---- the drag ----


def nearest_keypoints(model: str) -> list[int]:
    """The keypoints that stay nearest to puppets' right elbows, middles of forearms and wrists, and left ankles."""
    graph = verbs.open_desks(model).graph
    samples = [Puppets(split="test").annotated(row) for row in range(40)]
    keypoints = np.stack([graph.find(sample.image).keypoints for sample in samples])
    elbows, wrists, ankles = (
        np.stack([sample.joints[JOINT_NAMES.index(name)] for sample in samples])
        for name in ("right_elbow", "right_wrist", "left_ankle")
    )
    places = np.stack([elbows, (elbows + wrists) / 2, wrists, ankles], axis=1)
    return list(np.linalg.norm(keypoints[:, :, None] - places[:, None], axis=-1).mean(axis=0).argmin(axis=0))


def lift(at: dict[int, Point], arm: Sequence[int], elbow: Point, *, outward: float) -> Iterator[Drag]:
    """Drags of a forearm's keypoints about the elbow: up, down, and back; its side is ``outward``, 1 or -1."""
    starts = [math.atan2(at[keypoint][1] - elbow[1], outward * (at[keypoint][0] - elbow[0])) for keypoint in arm]
    for stops in itertools.pairwise((None, _UP, _DOWN, None)):
        for keypoint, start in zip(arm, starts, strict=True):
            begin, end = (start if stop is None else stop for stop in stops)
            yield keypoint, arc(at[keypoint], elbow, (begin, end), outward=outward)


def arc(point: Point, pivot: Point, angles: tuple[float, float], *, outward: float) -> Iterator[Point]:
    """Places as far from the pivot as a point is, at angles from the one to the other; 0 is outward, down is more."""
    reach = math.dist(point, pivot)
    for angle in eased(angles, steps=8):
        yield pivot[0] + outward * reach * math.cos(angle), pivot[1] + reach * math.sin(angle)


def foot(ankle: Point, *, outward: float) -> Iterator[Point]:
    """The ankle's way: outward and a little up, and back."""
    for share in eased((0.0, 1.0, 0.0), steps=10):
        yield ankle[0] + outward * 0.35 * share, ankle[1] - 0.12 * share


def eased(stops: Sequence[float], *, steps: int) -> Iterator[float]:
    """Values from stop to stop that start and end slowly."""
    for start, end in itertools.pairwise(stops):
        for step in range(1, steps + 1):
            yield start + (end - start) * (1 - math.cos(math.pi * step / steps)) / 2


def film(page: Any, model: str, *, pose: int, seed: int) -> list[Image.Image]:
    """The stage of the Paint tab, a frame a move."""
    open_paint(page)
    if seed:
        _and_painted(page, lambda: page.locator("#paint-tab .seed").first.fill(str(seed)))
    if pose:
        _and_painted(page, lambda: page.locator("#paint-tab .pose").select_option(str(pose)))
    elbow, middle, wrist, ankle = nearest_keypoints(model)
    arm = [keypoint for keypoint in dict.fromkeys((middle, wrist)) if keypoint != elbow]
    at = {keypoint: _pose_of(page, keypoint) for keypoint in (elbow, *arm, ankle)}
    centre = (at[elbow][0] + at[ankle][0]) / 2
    side, other = (math.copysign(1, at[keypoint][0] - centre) for keypoint in (elbow, ankle))
    drags = [*lift(at, arm, at[elbow], outward=side), (ankle, foot(at[ankle], outward=other))]
    return [frame for keypoint, way in drags for frame in _drag(page, keypoint, way)]


def _drag(page: Any, keypoint: int, way: Iterator[Point]) -> Iterator[Image.Image]:
    stage = page.locator("#paint-tab .painted").bounding_box()
    page.mouse.move(*place_of(page, keypoint))
    page.mouse.down()
    for x, y in way:
        window = [stage[corner] + (value + 1) / 2 * stage[side]
                  for value, corner, side in ((x, "x", "width"), (y, "y", "height"))]  # fmt: skip
        _and_painted(page, lambda window=window: page.mouse.move(*window))
        frame = Image.open(io.BytesIO(page.screenshot(clip=stage))).convert("RGB")
        yield _with_pointer(frame, (window[0] - stage["x"], window[1] - stage["y"]))
    page.mouse.up()


def _pose_of(page: Any, keypoint: int) -> Point:
    stage, (x, y) = page.locator("#paint-tab .painted").bounding_box(), place_of(page, keypoint)
    return 2 * (x - stage["x"]) / stage["width"] - 1, 2 * (y - stage["y"]) / stage["height"] - 1


def _and_painted(page: Any, act: Callable[[], object]) -> None:
    count = "Number(document.querySelector('[data-painted]').dataset.painted)"
    before = page.evaluate(count)
    act()
    page.wait_for_function(f"before => {count} > before", arg=before)


def _with_pointer(frame: Image.Image, at: Point) -> Image.Image:
    unit = frame.width / 400
    corners = [(at[0] + unit * x, at[1] + unit * y) for x, y in _ARROW]
    ImageDraw.Draw(frame).polygon(corners, fill="white", outline="black", width=round(unit))
    return frame


def steady(frames: Iterable[Image.Image]) -> Iterator[Image.Image]:
    """The frames, with the pixels of the one before where they are nearly the same: a GIF stores these for nothing."""
    shown: np.ndarray | None = None
    for frame in frames:
        pixels = np.asarray(frame).astype(int)
        if shown is not None:
            is_same = np.abs(pixels - shown).max(axis=-1, keepdims=True) < _SAME_LEVELS
            pixels = np.where(is_same, shown, pixels)
        shown = pixels
        yield Image.fromarray(pixels.astype(np.uint8))


def write_gif(frames: Sequence[Image.Image], file: Path) -> None:
    """The frames in the best quality that has at most a million bytes; ClickException where none has."""
    for side, colours in _QUALITIES:
        small = list(steady(frame.resize((side, side), Image.Resampling.LANCZOS) for frame in frames))
        strip = Image.fromarray(np.concatenate([np.asarray(frame) for frame in small[::4]]))
        palette = strip.quantize(colours, method=Image.Quantize.FASTOCTREE)
        first, *rest = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in small]
        first.save(file, save_all=True, append_images=rest, duration=FRAME_MS, loop=0, optimize=True)
        if file.stat().st_size <= MOST_BYTES:
            return
    raise click.ClickException(f"{file} has {file.stat().st_size} bytes; choose fewer frames")


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--model", default="puppets", show_default=True, help="Run of a GAN of puppets.")
@click.option("--pose", default=0, show_default=True, help="Which of the poses the GIF begins with.")
@click.option("--seed", default=0, show_default=True, help="The GIF's style.")
@click.option("--address", help="That of a studio which runs. [default: one is started]")
def main(folder: Path, model: str, pose: int, seed: int, address: str | None) -> None:
    """Write the pictures, and print their names."""
    folder.mkdir(parents=True, exist_ok=True)
    with studio_at(address, model) as opened, chromium() as browser:
        files = shoot_tabs(browser, opened, folder)
        files.append(folder / "drag.gif")
        write_gif(film(open_page(browser, opened), model, pose=pose, seed=seed), files[-1])
    for file in files:
        print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
