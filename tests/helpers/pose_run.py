"""A folder of small films and images, and the files that `detect` with formats makes of them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import autolink_gen
from autolink_gen.common.progress import no_progress
from autolink_gen.inference.detect_files import DetectionReport
from autolink_gen.ops.likelihood import LikelihoodMap
from helpers.detecting import save_film, save_picture
from helpers.tiny_models import tiny_graph

T = TypeVar("T")
NUM_KEYPOINTS, NUM_FRAMES = 4, 4
LEAST = 0.8  # a likelihood that some points of films and images have, and others not


def save_films(folder: Path, count: int) -> list[Path]:
    return [save_film(folder / f"film{number:02d}.mp4", num_frames=NUM_FRAMES) for number in range(count)]


def save_pictures(folder: Path) -> None:
    for name in ("one.png", "another.png"):
        save_picture(folder / name)


def detect(folder: Path, out: Path, *formats: str, **options: object) -> DetectionReport:
    """Without overlays, unless told; on a graph that is the same each time, of some likely points and some unlikely."""
    settings = {"overlays": False, "progress": no_progress, **options}
    graph = tiny_graph(NUM_KEYPOINTS).eval()
    graph.likelihood = LikelihoodMap((0.86, 0.91), (1.0, 0.0))  # its heat maps are as wide as that
    return autolink_gen.detect(graph, folder, out=out, formats=formats, **settings)


class StopAfter:
    """A progress that ends like Ctrl-C after so many frames."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, items: Iterable[T], total: int, description: str) -> Iterator[T]:
        for number, item in enumerate(items, start=1):
            if number == self.count:
                raise KeyboardInterrupt
            yield item
