"""The styles to paint in: of seeds, of an image, of a file, or of two seeds mixed by layer."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from autolink_gen.common.files import BadFileError, reading
from autolink_gen.common.progress import Progress
from autolink_gen.common.text import shown
from autolink_gen.data.images import fit_square, read_image
from autolink_gen.inference.generate import Gan
from autolink_gen.inference.poses import seeded_styles

DEFAULT_SEEDS = range(4)


@dataclass(frozen=True)
class StyleMix:
    """The first ``layers`` of the generator in the style of one seed, the rest in that of another; None: every cut."""

    first: int
    second: int
    layers: int | None = None

    def cuts(self, gan: Gan) -> list[int]:
        """How many layers each mix has of the first style; ValueError for more than there are."""
        count = gan.num_layers
        if self.layers is None:
            return list(range(count, -1, -1))
        if self.layers > count:
            raise ValueError(f"--mix-styles takes {self.layers} layers of seed {self.first}, and there are {count}")
        return [self.layers]

    def name(self, cut: int) -> str:
        """What a mix is called in files."""
        return f"seed{self.first}-{cut}-seed{self.second}"


def parse_mix(text: str) -> StyleMix:
    """A mix from a text: ``3:7``, or ``3:7@2`` for the first two layers of 3 alone. ValueError for another form."""
    seeds, at, layers = text.partition("@")
    first, colon, second = seeds.partition(":")
    numbers = [first, second, *([layers] if at else [])]
    if not colon or not all(number.isdecimal() and len(number) < 19 for number in numbers):
        raise ValueError(
            f"--mix-styles takes two seeds, as in 3:7, or with layers of the first, 3:7@2: {shown(text)!r}"
        )
    return StyleMix(int(first), int(second), int(layers) if at else None)


@dataclass(frozen=True)
class Styles:
    """The styles to paint in: those of seeds, that of an image, found in ``steps``, or those of a mix of two seeds.

    ``image`` may also be a .json file of a style, which `style_json` wrote.
    """

    seeds: tuple[int, ...] = tuple(DEFAULT_SEEDS)
    image: Path | None = None
    steps: int = 300
    truncation: float = 1.0
    mix: StyleMix | None = None

    def names(self, gan: Gan) -> list[str]:
        """What to call them in files."""
        if self.mix is not None:
            return [self.mix.name(cut) for cut in self.mix.cuts(gan)]
        return [f"seed{seed}" for seed in self.seeds] if self.image is None else [self.image.stem]

    def of(self, gan: Gan, *, progress: Progress) -> Float[Tensor, "N D"] | Float[Tensor, "N L D"]:
        """The styles w, in the order of their names; of a mix, one for each of the generator's layers."""
        if self.mix is not None:
            first, second = self._of_seeds(gan, (self.mix.first, self.mix.second))
            return torch.stack([gan.mix_styles(first, second, layers=cut) for cut in self.mix.cuts(gan)])
        if self.image is None:
            return self._of_seeds(gan, self.seeds)
        if self.image.suffix.lower() == ".json":
            style = read_style(self.image, gan)
        else:
            style = gan.invert(image_to_invert(read_image(self.image), gan), steps=self.steps, progress=progress)
        return gan.truncate(style, truncation=self.truncation)

    def _of_seeds(self, gan: Gan, seeds: tuple[int, ...]) -> Float[Tensor, "N D"]:
        z = seeded_styles(seeds, gan.style_size).to(gan.edge_weights)
        return gan.style(z, truncation=self.truncation)


def image_to_invert(image: Image.Image, gan: Gan) -> Float[Tensor, "1 3 S S"]:
    """An RGB image in [0, 1], as large as the GAN paints, fitted to the square as its graph does."""
    size, fit = gan.generator.config.image_size, gan.graph.config.fit
    square = np.asarray(fit_square(image, size=size, fit=fit))
    return torch.from_numpy(square.copy()).permute(2, 0, 1)[None].to(gan.edge_weights) / 255


def style_json(style: Float[Tensor, "1 D"] | Float[Tensor, "1 L D"]) -> str:
    """A style w, or one for each layer, as the file that ``generate --style`` reads; no digit is lost."""
    return json.dumps({"style": style[0].tolist()}) + "\n"


def read_style(path: Path, gan: Gan) -> Float[Tensor, "1 D"] | Float[Tensor, "1 L D"]:
    """The style w in a file, or one for each layer; BadFileError for another form or size than the GAN's."""
    if not path.exists():
        raise ValueError(f"there is no file {path}; give a seed, an image or a style.json that exists")
    remedy = 'give {"style": [...]}, as the studio saves it for this GAN'
    with reading(path, "JSON of a style", remedy=remedy):
        style = torch.tensor(json.loads(path.read_bytes())["style"], dtype=torch.float32)
    if tuple(style.shape) not in ((gan.style_size,), (gan.num_layers, gan.style_size)) or not style.isfinite().all():
        raise BadFileError(
            f"{path} holds {tuple(style.shape)} numbers, and a style of this GAN has {gan.style_size}, all finite, for "
            f"all layers or for each of {gan.num_layers}; {remedy}"
        )
    return style[None].to(gan.edge_weights)
