"""What stands in for what a machine without a network lacks: feature weights, and images to learn from."""

import math
import os
from pathlib import Path

import torch
from PIL import Image

from autolink_gen.common.cache import CACHE_VARIABLE
from autolink_gen.data.puppets.dataset import Puppets
from autolink_gen.pretrained.features import cached_file, find_weights, install_weights
from autolink_gen.pretrained.files import NETWORKS, write_feature_weights

NOTE = "random feature weights, which take the same time"


def provide_weights(folder: Path) -> str | None:
    """See to it that all feature networks have weights, random ones where a file is missing; a note where it is.

    Such files lie in a cache of their own in ``folder``, which this process then uses.
    """
    found: dict[str, Path | None] = {}
    for name in NETWORKS:
        try:
            found[name] = find_weights(name, fetch=False)
        except ValueError:
            found[name] = None
    if None not in found.values():
        return None
    os.environ[CACHE_VARIABLE] = str(folder / "cache")
    for name, file in found.items():
        if not cached_file(name).is_file():  # or another section has made it
            install_weights(name, file or _random_weights(name, folder))
    return f"{NOTE}: " + " and ".join(name for name, file in found.items() if file is None)


def _random_weights(name: str, folder: Path) -> Path:
    """A file with such weights of a network."""
    draw = torch.Generator().manual_seed(0)
    shapes = NETWORKS[name].features.tensor_shapes()
    weights = {
        key: torch.randn(shape, generator=draw) * (2 / math.prod(shape[1:])) ** 0.5
        if len(shape) > 1
        else torch.zeros(shape)
        for key, shape in shapes.items()
    }
    file = folder / f"random-{name}.safetensors"
    write_feature_weights(file, weights, source="random numbers")
    return file


def write_puppets(folder: Path, *, count: int, size: int) -> Path:
    """A folder with so many images of puppets, unless it is there."""
    if folder.is_dir():
        return folder
    folder.mkdir(parents=True)
    puppets = Puppets(image_size=size, length=count)
    for index in range(count):
        Image.fromarray(puppets.annotated(index).image).save(folder / f"{index:05d}.png")
    return folder
