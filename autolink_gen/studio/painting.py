"""Painting by hand: keypoints and a style in, an image out; and the command that paints the same."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image
from pydantic import Field
from torch import Tensor

from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.common.text import typed
from autolink_gen.inference.generate import Gan
from autolink_gen.inference.poses import seeded_styles
from autolink_gen.inference.styles import Styles, image_to_invert, style_json
from autolink_gen.ops.divergence import check_found
from autolink_gen.ops.keypoints import linked_keypoints
from autolink_gen.studio.uploads import data_url
from autolink_gen.viz.graphs import keypoint_colours, strong_edges, to_uint8

Seed = Annotated[int, Field(ge=0, lt=2**63)]
StyleValue = Annotated[float, Field(ge=-1e6, le=1e6)]
Coordinate = Annotated[float, Field(ge=-1, le=1)]
Pose = list[tuple[Coordinate, Coordinate]]
DECIMALS = 4  # of a pose: a drag is no finer, and the file of keypoints paints the same picture


@dataclass(frozen=True)
class StyleChoice:
    """The style of a seed, but for the ``fine_layers``, the generator's last ones, which have that of a second seed.

    A style w that was ``found`` takes the place of the first one. ``truncation`` below 1 draws both nearer to the mean.
    """

    seed: Seed = 0
    second_seed: Seed = 1
    fine_layers: Annotated[int, Field(ge=0, le=64)] = 0
    truncation: Annotated[float, Field(ge=0, le=2)] = 1.0
    found: Annotated[tuple[StyleValue, ...], Field(max_length=2**14)] = ()


@dataclass(frozen=True)
class PaintRequest:
    """What a page asks for: a pose, (x, y) in [-1, 1], and a style."""

    keypoints: Pose
    style: StyleChoice = StyleChoice()


@dataclass(frozen=True)
class FoundStyle:
    """The style w that was found for a picture, and the pose there, (x, y) in [-1, 1].

    ``picture`` is what was looked at, a square as large as the GAN paints, as a data URL.
    """

    found: list[float]
    keypoints: Pose
    picture: str


@dataclass(frozen=True)
class Skeleton:
    """What a page draws: for each keypoint a colour "#rrggbb", the edges (i, j, share of the largest weight).

    ``shown`` are the keypoints with edges, ``poses`` some to begin with, (x, y) in [-1, 1]. ``num_layers`` take a style
    each.
    """

    size_px: int
    num_layers: int
    colours: list[str]
    edges: list[tuple[int, int, float]]
    shown: list[int]
    poses: list[Pose]


class PaintingDesk:
    """Paints with one GAN, one picture at a time, whoever asks; ``name`` is how commands name its run."""

    def __init__(self, gan: Gan, *, name: str) -> None:
        self.gan, self.name = gan, name
        self._lock = Lock()
        self._style_of = lru_cache(maxsize=64)(self._compute_style)
        self._found_of = lru_cache(maxsize=8)(self._check_found)

    def skeleton(self) -> Skeleton:
        """The graph and the poses that the GAN carries; a circle where it carries none."""
        weights = self.gan.edge_weights
        count = len(weights)
        poses = self.gan.poses.double().cpu().numpy() if len(self.gan.poses) else circle(count)[None]
        return Skeleton(
            size_px=self.gan.generator.config.image_size,
            num_layers=self.gan.num_layers,
            colours=hex_colours(keypoint_colours(count)),
            edges=strong_edges(weights, threshold=0.02),
            shown=linked_keypoints(weights).tolist(),
            poses=[rounded(pose) for pose in poses],
        )

    def paint(self, request: PaintRequest) -> UInt8[ndarray, "S S 3"]:
        """The painted picture; ValueError for another number of keypoints than the graph's."""
        count = self.gan.graph.config.num_keypoints
        if len(request.keypoints) != count:
            raise ValueError(f"the pose has {len(request.keypoints)} keypoints and the GAN's graph {count}")
        keypoints = torch.tensor([request.keypoints], dtype=torch.float32).to(self.gan.edge_weights)
        with self._lock:
            return to_uint8(self.gan.paint(keypoints, self._style(request.style)))[0]

    def square(self, pixels: UInt8[ndarray, "H W 3"]) -> Float[Tensor, "1 3 S S"]:
        """A picture in [0, 1] as the GAN paints it: that large, and fitted to the square as its graph does."""
        return image_to_invert(Image.fromarray(pixels), self.gan)

    def find_style(self, image: Float[Tensor, "1 3 S S"], *, progress: Progress = no_progress) -> FoundStyle:
        """The style in which the GAN paints a `square` best, as ``generate --style`` searches for it.

        Where ``progress`` ends early, that which was found by then. Raises DivergedModelError where the graph finds no
        pose, and ValueError where the weights that tell pictures apart cannot be fetched.
        """
        with self._lock:
            keypoints = self.gan.graph.detect(image)
        check_found(keypoints, name=self.name)
        style = self.gan.invert(image, keypoints=keypoints, steps=Styles.steps, progress=progress)
        pose = rounded(keypoints[0].double().cpu().numpy())
        return FoundStyle(style[0].tolist(), pose, data_url(to_uint8(image)[0]))

    def style_file(self, choice: StyleChoice) -> str:
        """The style as the file that ``generate --style`` reads."""
        with self._lock:
            return style_json(self._style(choice))

    def command(self, style: StyleChoice, *, source: str = "keypoints.json") -> str:
        """The command that paints the same on keypoints.json, or on another ``source``, saved from the page.

        The style of a picture comes from style.json, saved there too.
        """
        begin = f"autolink-gen generate --model {typed(self.name)} --from {typed(source)}"
        if style.found:
            return f"{begin} --style style.json"
        coarse = self.gan.num_layers - style.fine_layers
        seed = style.seed if coarse else style.second_seed
        is_mixed = coarse and style.fine_layers
        choice = f"--mix-styles {style.seed}:{style.second_seed}@{coarse}" if is_mixed else f"--style {seed}"
        truncation = "" if style.truncation == 1 else f" --trunc {style.truncation:g}"
        return f"{begin} {choice}{truncation}"

    def _style(self, choice: StyleChoice) -> Float[Tensor, "1 D"] | Float[Tensor, "1 L D"]:
        if choice.found:
            first = self._found_of(choice.found, choice.truncation)
        else:
            first = self._style_of(choice.seed, choice.truncation)
        if choice.fine_layers == 0:
            return first
        second = self._style_of(choice.second_seed, choice.truncation)
        return self.gan.mix_styles(first, second, layers=self.gan.num_layers - choice.fine_layers)

    def _check_found(self, found: tuple[float, ...], truncation: float) -> Float[Tensor, "1 D"]:
        if len(found) != self.gan.style_size:
            raise ValueError(f"the style has {len(found)} numbers and those of the GAN {self.gan.style_size}")
        return self.gan.truncate(torch.tensor([found]).to(self.gan.edge_weights), truncation=truncation)

    def _compute_style(self, seed: int, truncation: float) -> Float[Tensor, "1 D"]:
        z = seeded_styles([seed], self.gan.style_size).to(self.gan.edge_weights)
        return self.gan.style(z, truncation=truncation)


def keypoints_json(keypoints: Sequence[Sequence[float]]) -> str:
    """A pose as the file that ``generate --from`` reads."""
    return json.dumps({"keypoints": [list(point) for point in keypoints]}) + "\n"


def rounded(keypoints: Float[ndarray, "K 2"]) -> Pose:
    """A pose for a page: inside the picture, to `DECIMALS`."""
    inside = np.asarray(keypoints, np.float64).clip(-1, 1).round(DECIMALS)
    return [(float(x), float(y)) for x, y in inside]


def circle(num_keypoints: int) -> Float[ndarray, "K 2"]:
    """A pose where none is known: keypoints on a circle, the first at the top."""
    angles = np.arange(num_keypoints) / num_keypoints * 2 * np.pi
    return 0.8 * np.stack([np.sin(angles), -np.cos(angles)], axis=1)


def hex_colours(colours: UInt8[ndarray, "N 3"]) -> list[str]:
    """RGB colours as "#rrggbb"."""
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in colours.tolist()]
