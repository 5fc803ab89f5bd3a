"""The embedded data set: articulated puppets drawn on the fly, with known joints and bones."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.data.puppets.drawing import (
    BONES,
    CROWN,
    FOOT_DROP,
    JOINT_NAMES,
    Backdrop,
    Color,
    Placement,
    Proportions,
    PuppetAppearance,
    PuppetPose,
    SoftShape,
    draw_puppet,
    render_backdrop,
    skeleton,
)

__all__ = ["BONES", "JOINT_NAMES", "PuppetSample", "Puppets", "Split", "puppet_clip"]

Split = Literal["train", "test"]

MIN_SIZE, MAX_SIZE = 32, 512
JOINT_LIMIT = 0.92  # joints stay within [-0.92, 0.92]
_DRAWN_LIMIT = 0.98  # and so does what is drawn above the head and below the ankles
_CENTRE_LIMIT = 0.35  # the figure's middle stays this near to the image's

_PROPORTION_RANGES = {
    "head_radius": (0.085, 0.105), "neck": (0.02, 0.035), "shoulder_width": (0.21, 0.27),
    "hip_width": (0.12, 0.16), "torso": (0.26, 0.31), "upper_arm": (0.16, 0.19), "forearm": (0.155, 0.185),
    "thigh": (0.22, 0.26), "shin": (0.21, 0.25),
    "arm_thickness": (0.062, 0.075), "leg_thickness": (0.072, 0.085),
}  # fmt: skip
_POSE_RANGES = {
    "lean": (-14, 14), "head_tilt": (-14, 14), "sway": (-0.03, 0.03),
    "right_shoulder": (8, 165), "right_elbow": (-85, 110), "right_hip": (0, 30), "right_knee": (-26, 8),
    "left_shoulder": (8, 165), "left_elbow": (-85, 110), "left_hip": (0, 30), "left_knee": (-26, 8),
}  # fmt: skip

_SKINS = ((245, 208, 178), (228, 180, 142), (198, 142, 102), (150, 100, 68), (104, 68, 48))
_HAIRS = ((34, 26, 24), (82, 52, 32), (150, 96, 48), (222, 184, 96), (176, 70, 36), (150, 150, 156))
_SHIRTS = (
    (206, 44, 48), (236, 128, 36), (246, 204, 60), (44, 150, 84), (38, 104, 196), (120, 68, 168),
    (240, 240, 236), (232, 110, 160), (40, 176, 184), (46, 48, 58),
)  # fmt: skip
_TROUSERS = (
    (40, 62, 116), (34, 36, 44), (188, 160, 112), (104, 82, 58), (226, 224, 214), (92, 98, 106),
    (120, 40, 52),
)  # fmt: skip
_SHOES = ((30, 28, 30), (240, 240, 240), (120, 60, 30), (200, 40, 40))
_WALLS = (
    (120, 158, 112), (70, 104, 70), (150, 186, 214), (84, 124, 150), (58, 72, 92), (206, 210, 212),
    (164, 170, 164), (108, 106, 112), (224, 214, 184), (176, 186, 140), (150, 132, 166), (48, 84, 84),
    (190, 160, 168), (138, 190, 178),
)  # fmt: skip


@dataclass(frozen=True)
class PuppetSample:
    """One puppet: `image` (S, S, 3) uint8 RGB; `joints` (13, 2) float32, (x, y) in [-1, 1].

    -1 and 1 are the centres of the outer pixels: x_px = (x + 1) / 2 * (S - 1). Order of `JOINT_NAMES`.
    """

    image: UInt8[np.ndarray, "S S 3"]
    joints: Float32[np.ndarray, "13 2"]


class Puppets(Dataset[Tensor]):
    """Images of puppets, each a function of (seed, split, index) alone; no two splits share one.

    `[i]` is a uint8 tensor (3, S, S), RGB; `.annotated(i)` tells where the joints are as well.

    Raises:
        ValueError: image_size outside 32 to 512, no length, or an unknown split.
        IndexError: an index outside 0 to length - 1.
    """

    def __init__(self, *, image_size: int = 128, seed: int = 0, length: int = 100_000, split: Split = "train") -> None:
        _check_split(split)
        _check_size("image_size", image_size)
        if length < 1:
            raise ValueError(f"length={length}: a data set needs at least one image; give 1 or more")
        self.image_size = image_size
        self.seed = seed
        self.length = length
        self.split: Split = split

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> UInt8[Tensor, "3 S S"]:
        image = self.annotated(index).image
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))

    def annotated(self, index: int) -> PuppetSample:
        """The image of `index` with its joints; see `PuppetSample`."""
        if not 0 <= index < self.length:
            raise IndexError(f"index={index}: this data set holds images 0 to {self.length - 1}")
        streams = _Streams(self.seed, self.split, index)
        images, joints = _render([sample_pose(streams.pose)], streams, self.image_size)
        return PuppetSample(image=images[0], joints=joints[0])


def puppet_clip(
    seed: int,
    index: int,
    *,
    num_frames: int,
    size: int,
    split: Split = "train",
    only: Sequence[int] | None = None,
) -> tuple[UInt8[np.ndarray, "T S S 3"], Float32[np.ndarray, "T 13 2"]]:
    """A puppet that moves smoothly before a still backdrop: frames, and joints (x, y) in [-1, 1].

    The figure and the backdrop are those of `Puppets(seed=seed, split=split)[index]`; each joint angle is a
    sum of two sinusoids with periods of 25 to 100 frames. `only` names the frames to draw.

    Raises:
        ValueError: num_frames under 1, size outside 32 to 512, a negative index, or an unknown split.
    """
    _check_split(split)
    _check_size("size", size)
    if num_frames < 1:
        raise ValueError(f"num_frames={num_frames}: a clip needs at least one frame; give 1 or more")
    if index < 0:
        raise ValueError(f"index={index}: clips are counted from 0; give 0 or more")
    streams = _Streams(seed, split, index)
    return _render(sample_motion(streams.motion, num_frames), streams, size, only=only)


class _Streams:
    """Independent generators, so that a puppet looks the same whether it stands or moves."""

    def __init__(self, seed: int, split: Split, index: int) -> None:
        # NumPy takes no negative seeds: those become the ones from 2^63 on.
        key = [seed % 2**64, get_args(Split).index(split), index]
        self.looks, self.pose, self.motion, self.place = (
            np.random.default_rng(np.random.SeedSequence(key, spawn_key=(number,))) for number in range(4)
        )


def _check_split(split: str) -> None:
    if split not in get_args(Split):
        raise ValueError(f"split={split!r}: there is no such split; choose 'train' or 'test'")


def _check_size(field: str, size: int) -> None:
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"{field}={size}: puppets are {MIN_SIZE} to {MAX_SIZE} pixels wide; choose a size there")


def _render(
    poses: Sequence[PuppetPose], streams: _Streams, size: int, *, only: Sequence[int] | None = None
) -> tuple[UInt8[np.ndarray, "T S S 3"], Float32[np.ndarray, "T 13 2"]]:
    """Draw one figure in each of `poses`, or in those numbered `only`, before one backdrop."""
    appearance = sample_appearance(streams.looks)
    proportions = sample_proportions(streams.looks)
    backdrop = render_backdrop(sample_backdrop(streams.looks, appearance), size)
    body = np.stack([skeleton(proportions, pose) for pose in poses])
    place = sample_placement(streams.place, body, proportions)
    joints = place.scale * (body if only is None else body[list(only)]) + np.array([place.x, place.y])
    images = [
        draw_puppet(backdrop, points, scale=place.scale, proportions=proportions, appearance=appearance)
        for points in joints
    ]
    return np.stack(images), joints.astype(np.float32)


def sample_appearance(rng: np.random.Generator) -> PuppetAppearance:
    """Draw clothes at random; trousers, stripes and skin always differ clearly from the shirt."""
    skin, shirt = _choose(rng, _SKINS), _choose(rng, _SHIRTS)
    trousers = _choose(rng, [color for color in _TROUSERS if _distance(color, shirt) > 110])
    stripe = _choose(rng, [color for color in _SHIRTS if _distance(color, shirt) > 140])
    return PuppetAppearance(
        skin=skin,
        hair=_choose(rng, [color for color in _HAIRS if _distance(color, skin) > 70]),
        shirt=shirt,
        trousers=trousers,
        shoes=_choose(rng, [color for color in _SHOES if _distance(color, trousers) > 60]),
        stripes=stripe if rng.random() < 0.3 else None,
        long_sleeves=bool(rng.random() < 0.5),
        long_trousers=bool(rng.random() < 0.65),
        long_hair=bool(rng.random() < 0.4),
    )


def sample_proportions(rng: np.random.Generator) -> Proportions:
    """Draw the lengths of a body's parts, each uniform in its range."""
    return Proportions(**{name: rng.uniform(low, high) for name, (low, high) in _PROPORTION_RANGES.items()})


def sample_pose(rng: np.random.Generator) -> PuppetPose:
    """Draw joint angles: arms anywhere, torso and legs mostly near the middle of their ranges."""
    angles = {}
    for name, (low, high) in _POSE_RANGES.items():
        # The mean of two draws is near the middle; one draw makes raised arms as common as hanging ones.
        share = rng.random() if name.endswith("shoulder") else (rng.random() + rng.random()) / 2
        angles[name] = low + share * (high - low)
    return PuppetPose(**angles)


def sample_motion(rng: np.random.Generator, num_frames: int) -> list[PuppetPose]:
    """Draw a smooth motion: every angle a sum of two sinusoids about a centre, inside its range."""
    time = np.arange(num_frames)
    tracks = {}
    for name, (low, high) in _POSE_RANGES.items():
        centre = rng.uniform(0.35, 0.65)
        reach = min(centre, 1 - centre) * rng.uniform(0.5, 1.0)
        periods, phases = rng.uniform((50, 25), (100, 50)), rng.uniform(0, 2 * np.pi, 2)
        waves = np.sin(2 * np.pi * time[:, None] / periods + phases) @ np.array([0.75, 0.25])
        tracks[name] = low + (high - low) * (centre + reach * waves)
    return [PuppetPose(**{name: float(track[i]) for name, track in tracks.items()}) for i in range(num_frames)]


def sample_placement(
    rng: np.random.Generator, body: Float[np.ndarray, "T 13 2"], proportions: Proportions
) -> Placement:
    """Draw size and position: a figure 60 to 90 % as high as the image and inside it in every frame."""
    crowns = body[:, 0, 1] - CROWN * proportions.head_radius
    soles = body[:, (9, 12), 1].max(axis=1) + FOOT_DROP
    low, high = body.min(axis=(0, 1)), body.max(axis=(0, 1))
    # Whatever is outermost must fit: joints sideways; joints or the crown above; joints or the soles below.
    starts = np.array([low[1], crowns.min()])
    ends = np.array([high[1], soles.max()])
    limits = np.array([JOINT_LIMIT, _DRAWN_LIMIT])
    room = (limits[:, None] + limits) / (ends - starts[:, None])
    scale = 2 * rng.uniform(0.66, 0.9) / (soles - crowns).max()
    scale = min(scale, room.min(), 2 * JOINT_LIMIT / (high[0] - low[0]))
    floor = np.array([-JOINT_LIMIT - scale * low[0], (-limits - scale * starts).max()])
    ceiling = np.array([JOINT_LIMIT - scale * high[0], (limits - scale * ends).min()])
    middle = -scale * (low + high) / 2
    floor, ceiling = np.maximum(floor, middle - _CENTRE_LIMIT), np.minimum(ceiling, middle + _CENTRE_LIMIT)
    x, y = rng.uniform(np.minimum(floor, ceiling), ceiling)
    return Placement(scale=float(scale), x=float(x), y=float(y))


def sample_backdrop(rng: np.random.Generator, appearance: PuppetAppearance) -> Backdrop:
    """Draw a cluttered backdrop from the few wall colours that the figure stands out against most."""
    worn = (appearance.skin, appearance.shirt, appearance.trousers)
    walls = sorted(_WALLS, key=lambda wall: -min(_distance(wall, color) for color in worn))
    wall = _choose(rng, walls[:3])
    shapes = []
    for _ in range(rng.integers(3, 8)):
        (x, y), (width, height) = rng.uniform(-0.1, 1.0, 2), rng.uniform(0.1, 0.45, 2)
        form = "ellipse" if rng.random() < 0.5 else "rectangle"
        box = (float(x), float(y), float(x + width), float(y + height))
        shapes.append(SoftShape(box=box, color=_vary(rng, wall, 26.0), form=form))
    return Backdrop(
        top=_vary(rng, wall, 22.0),
        bottom=_vary(rng, wall, 22.0),
        blotches=float(rng.uniform(3, 9)),
        noise=float(rng.uniform(1, 6)),
        noise_seed=int(rng.integers(2**32)),
        shapes=tuple(shapes),
    )


def _choose(rng: np.random.Generator, colors: Sequence[Color]) -> Color:
    return colors[int(rng.integers(len(colors)))]


@cache  # of few colours, and asked some seventy times a puppet
def _distance(a: Color, b: Color) -> float:
    """Weighted RGB distance, 0 to about 760; weights roughly those of the eye."""
    red, green, blue = (a[0] - b[0]), (a[1] - b[1]), (a[2] - b[2])
    return float((2 * red * red + 4 * green * green + 3 * blue * blue) ** 0.5)


def _vary(rng: np.random.Generator, color: Color, amount: float) -> Color:
    """Shift brightness by up to `amount` and each channel by up to half of it."""
    light, *tints = rng.uniform(-amount, amount, 4).tolist()
    red, green, blue = (
        min(max(round(value + light + tint / 2), 0), 255) for value, tint in zip(color, tints, strict=True)
    )
    return red, green, blue
