"""Pictures of odd shapes, as the commands that look at pictures use them: detected, drawn, cropped, inspected."""

from pathlib import Path
from random import Random

import numpy as np
from fuzz_kinds import Kind, Sample
from kinds_pictures import saved
from kinds_weights import tiny_graph
from PIL import Image

from autolink_gen.data.check import inspect_folder
from autolink_gen.data.images import fit_square, read_image
from autolink_gen.inference.cropping import middle_square
from autolink_gen.inference.detect import SourceImage, detect_images
from autolink_gen.viz.graphs import draw_graph

_SIDES = (1, 1, 2, 3, 5, 16, 63, 64, 65, 500, 3999, 40_000, 65_535)
_MOST_PIXELS = 300_000


def plain(width: int, height: int) -> bytes:
    """A black picture, which is a small file however large it is."""
    return saved(Image.new("1", (width, height)), "PNG")


def samples() -> list[Sample]:
    """The longest and the smallest."""
    shapes = ((1, 40_000), (40_000, 1), (1, 1), (2, 3000), (33, 200), (64, 64))
    return [Sample("pictures/cat.png", plain(*shape)) for shape in shapes]


def reshape(draw: Random, data: bytes) -> bytes:
    """Another shape."""
    width = draw.choice(_SIDES)
    fitting = [side for side in _SIDES if width * side <= _MOST_PIXELS]
    return plain(width, draw.choice(fitting))


def read(home: Path, file: Path) -> None:
    """The picture with its graph on it, made square each way, and what `data check` says of it."""
    picture = read_image(file)
    for fit in ("crop", "pad", "stretch"):
        assert fit_square(picture, size=32, fit=fit).size == (32, 32)
    pixels = np.asarray(picture)
    (found,) = detect_images(tiny_graph(), [SourceImage(file, 0, None, pixels)])
    drawn = draw_graph(pixels, found.keypoints, tiny_graph().edge_weights)
    assert max(drawn.shape) <= max(16_000, *pixels.shape)
    crop = middle_square(pixels)
    assert crop.put_back(crop.take(pixels), pixels).shape == pixels.shape
    assert inspect_folder(file.parent).num_readable == 1


KINDS = (Kind("shape", samples, read, mutators=(reshape,), cost_ms=20.0, structured=0.9),)
