"""Drawing of puppets: appearance, proportions, pose and backdrop, each by itself."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from autolink_gen.ops.pixels import enlarge_pixels, to_pixels

Color = tuple[int, int, int]
Point = tuple[float, float]

# "Right" is the puppet's own right: it faces the viewer, so its right hand is at the left of the image.
JOINT_NAMES = (
    "head",
    "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle",
)  # fmt: skip
BONES: tuple[tuple[int, int], ...] = (
    (0, 1), (0, 4), (1, 4), (1, 7), (4, 10), (7, 10),
    (1, 2), (2, 3), (4, 5), (5, 6),
    (7, 8), (8, 9), (10, 11), (11, 12),
)  # fmt: skip

FOOT_DROP = 0.05  # how far soles lie below the ankles, in body units
CROWN = 1.12  # top of the hair above the head's centre, in head radii
_OUTLINE = 0.011  # width of a part's dark rim, in body units
_BACKDROP_PX = 48  # side at which backdrops are painted before they are enlarged, which makes them soft


@dataclass(frozen=True)
class Proportions:
    """Lengths of one puppet's parts in body units (a standing puppet is about 1 tall)."""

    head_radius: float
    neck: float
    shoulder_width: float
    hip_width: float
    torso: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    arm_thickness: float
    leg_thickness: float


@dataclass(frozen=True)
class PuppetAppearance:
    """Colours (RGB, 0 to 255) and cut of one puppet's clothes; `stripes` is None on a plain shirt."""

    skin: Color
    hair: Color
    shirt: Color
    trousers: Color
    shoes: Color
    stripes: Color | None
    long_sleeves: bool
    long_trousers: bool
    long_hair: bool


@dataclass(frozen=True)
class PuppetPose:
    """Joint angles in degrees; `sway` moves the hips sideways, in body units.

    Limb angles count from hanging straight down, outwards and upwards positive; elbows and knees are relative
    to the upper part. `lean` and `head_tilt` are positive towards the right of the image.
    """

    lean: float
    head_tilt: float
    sway: float
    right_shoulder: float
    right_elbow: float
    left_shoulder: float
    left_elbow: float
    right_hip: float
    right_knee: float
    left_hip: float
    left_knee: float


@dataclass(frozen=True)
class Placement:
    """The placement of body units in the image: [-1, 1] coordinates = `scale` * body units + (`x`, `y`)."""

    scale: float
    x: float
    y: float


@dataclass(frozen=True)
class SoftShape:
    """One blob of clutter: its box (left, top, right, bottom) in [0, 1] of the image, colour and form."""

    box: tuple[float, float, float, float]
    color: Color
    form: str


@dataclass(frozen=True)
class Backdrop:
    """A colour gradient from `top` to `bottom` under clutter.

    `blotches` and `noise` are standard deviations, on the scale of 0 to 255, of coarse and of fine noise.
    """

    top: Color
    bottom: Color
    blotches: float
    noise: float
    noise_seed: int
    shapes: tuple[SoftShape, ...]


def skeleton(proportions: Proportions, pose: PuppetPose) -> Float[np.ndarray, "13 2"]:
    """Joints (x, y) in body units, y downwards, hips near the origin; order of `JOINT_NAMES`."""
    lean = math.radians(pose.lean)
    hips = _Frame((pose.sway, 0.0), 0.3 * lean)
    chest = _Frame(hips.at(0.0, 0.0), lean)
    neck_base = _Frame(chest.at(0.0, -proportions.torso), lean + math.radians(pose.head_tilt))
    half_shoulders, half_hips = proportions.shoulder_width / 2, proportions.hip_width / 2
    joints = [neck_base.at(0.0, -proportions.neck - proportions.head_radius)]
    arms = (-1, pose.right_shoulder, pose.right_elbow), (1, pose.left_shoulder, pose.left_elbow)
    legs = (-1, pose.right_hip, pose.right_knee), (1, pose.left_hip, pose.left_knee)
    for side, shoulder, elbow in arms:
        start = chest.at(side * half_shoulders, -proportions.torso)
        joints += chest.limb(start, side, (shoulder, elbow), (proportions.upper_arm, proportions.forearm))
    for side, hip, knee in legs:
        start = hips.at(side * half_hips, 0.0)
        joints += hips.limb(start, side, (hip, knee), (proportions.thigh, proportions.shin))
    return np.array(joints)


class _Frame:
    """A rotated system of axes: `angle` in radians, positive turns "up" towards the right of the image."""

    def __init__(self, origin: Point, angle: float) -> None:
        self.origin, self.cos, self.sin = origin, math.cos(angle), math.sin(angle)

    def at(self, x: float, y: float) -> Point:
        """The point at (x, y) of these axes."""
        return self.shifted(self.origin, x, y)

    def shifted(self, start: Point, x: float, y: float) -> Point:
        """The point (x, y) along these axes from `start`."""
        return start[0] + x * self.cos - y * self.sin, start[1] + x * self.sin + y * self.cos

    def limb(self, start: Point, side: int, bends: Point, lengths: Point) -> list[Point]:
        """The three joints of a limb whose two parts bend by `bends` degrees, outwards on `side`."""
        points, angle = [start], 0.0
        for bend, length in zip(bends, lengths, strict=True):
            angle += math.radians(bend)
            points.append(self.shifted(points[-1], side * math.sin(angle) * length, math.cos(angle) * length))
        return points


def render_backdrop(backdrop: Backdrop, size: int) -> UInt8[np.ndarray, "S S 3"]:
    """Paint the backdrop alone, `size` pixels square."""
    rng = np.random.default_rng(backdrop.noise_seed)
    down = np.linspace(0, 1, 6)[:, None, None]
    coarse = (1 - down) * np.array(backdrop.top) + down * np.array(backdrop.bottom)
    gray, tint = rng.standard_normal((6, 6, 1)), rng.standard_normal((6, 6, 3))
    coarse = coarse + backdrop.blotches * (gray + tint / 2)
    image = _to_image(coarse).resize((_BACKDROP_PX, _BACKDROP_PX), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for shape in backdrop.shapes:
        paint = draw.ellipse if shape.form == "ellipse" else draw.rectangle
        paint([edge * _BACKDROP_PX for edge in shape.box], fill=shape.color)
    grain = rng.standard_normal((_BACKDROP_PX, _BACKDROP_PX, 1), dtype=np.float32)
    return np.asarray(
        _to_image(np.asarray(image) + backdrop.noise * grain).resize((size, size), Image.Resampling.BICUBIC)
    )


def _to_image(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def draw_puppet(
    backdrop: UInt8[np.ndarray, "S S 3"],
    joints: Float[np.ndarray, "13 2"],
    *,
    scale: float,
    proportions: Proportions,
    appearance: PuppetAppearance,
) -> UInt8[np.ndarray, "S S 3"]:
    """Paint one puppet over a copy of `backdrop`.

    `joints` are (x, y) in [-1, 1]; one body unit is `scale` long in those coordinates.
    """
    size = len(backdrop)
    factor = 3 if size <= 64 else 2
    image = Image.fromarray(backdrop).resize((size * factor, size * factor), Image.Resampling.NEAREST)
    pixels = enlarge_pixels(to_pixels(joints, size=size), factor)
    points: list[Point] = [(x, y) for x, y in pixels.tolist()]
    unit_px = scale / 2 * (size - 1) * factor
    _Painter(image, points, unit_px=unit_px, proportions=proportions, look=appearance).paint()
    return np.asarray(image.reduce(factor))


@dataclass(frozen=True)
class _Capsule:
    """A rounded stick from `start` to `end` (pixels) with a radius (pixels) at either end."""

    start: Point
    end: Point
    start_radius: float
    end_radius: float
    color: Color


class _Painter:
    """Paints one figure: torso, legs, head, then arms on top; joints `points` in pixels of `image`."""

    def __init__(
        self,
        image: Image.Image,
        points: Sequence[Point],
        *,
        unit_px: float,
        proportions: Proportions,
        look: PuppetAppearance,
    ) -> None:
        self.draw = ImageDraw.Draw(image)
        self.points, self.unit_px, self.proportions, self.look = points, unit_px, proportions, look
        self.rim = max(_OUTLINE * unit_px, 1.0)

    def paint(self) -> None:
        """Draw the figure, what lies behind first."""
        p = self.points
        if self.look.long_hair:
            self._long_hair()
        self._torso()
        for hip, knee, ankle, side in ((p[7], p[8], p[9], -1), (p[10], p[11], p[12], 1)):
            self._leg(hip, knee, ankle, side)
        self._head()
        for shoulder, elbow, wrist in (p[1:4], p[4:7]):
            self._arm(shoulder, elbow, wrist)

    def _capsules(self, capsules: Sequence[_Capsule]) -> None:
        """Rims of all first, so that the parts of one limb flow into one another."""
        for grow in (self.rim, 0.0):
            for c in capsules:
                color = _darker(c.color) if grow else c.color
                self._stick(c.start, c.end, c.start_radius + grow, c.end_radius + grow, color)

    def _stick(self, a: Point, b: Point, radius_a: float, radius_b: float, color: Color) -> None:
        length = math.hypot(b[0] - a[0], b[1] - a[1])
        if length > 0:
            nx, ny = (a[1] - b[1]) / length, (b[0] - a[0]) / length
            corners = [
                (a[0] + nx * radius_a, a[1] + ny * radius_a), (b[0] + nx * radius_b, b[1] + ny * radius_b),
                (b[0] - nx * radius_b, b[1] - ny * radius_b), (a[0] - nx * radius_a, a[1] - ny * radius_a),
            ]  # fmt: skip
            self.draw.polygon(corners, fill=color)
            self._disc(b, radius_b, color)
        self._disc(a, radius_a, color)

    def _disc(self, centre: Point, radius: float, color: Color) -> None:
        self.draw.ellipse(_box(centre, radius), fill=color)

    def _torso(self) -> None:
        p, radius = self.points, 0.5 * self.proportions.arm_thickness * self.unit_px
        right_shoulder, left_shoulder, right_hip, left_hip = p[1], p[4], p[7], p[10]
        corners = [right_shoulder, left_shoulder, left_hip, right_hip]
        self._capsules([
            _Capsule(a, b, radius, radius, self.look.shirt)
            for a, b in zip(corners, corners[1:] + corners[:1], strict=True)
        ])  # fmt: skip
        self.draw.polygon(corners, fill=self.look.shirt)
        if self.look.stripes is not None:
            for share in (0.1, 0.36, 0.62):
                ends = _between(right_shoulder, right_hip, share), _between(left_shoulder, left_hip, share)
                wide = _between(*ends, -0.12), _between(*ends, 1.12)
                self.draw.line(wide, fill=self.look.stripes, width=max(round(0.035 * self.unit_px), 1))
        waist = [_Capsule(right_hip, left_hip, radius, radius, self.look.trousers)]
        self._capsules(waist)

    def _leg(self, hip: Point, knee: Point, ankle: Point, side: int) -> None:
        look, wide = self.look, 0.5 * self.proportions.leg_thickness * self.unit_px
        narrow = 0.8 * wide
        toe = ankle[0] + side * 0.03 * self.unit_px, ankle[1] + 0.02 * self.unit_px
        below = look.trousers if look.long_trousers else look.skin
        self._capsules([
            _Capsule(ankle, toe, narrow, narrow, look.shoes),
            _Capsule(hip, knee, wide, 0.9 * wide, look.trousers),
            _Capsule(knee, _between(knee, ankle, 0.85), 0.9 * wide, narrow, below),
        ])  # fmt: skip
        if not look.long_trousers:
            self._stick(_between(hip, knee, 0.8), knee, 0.9 * wide, 0.85 * wide, look.skin)
            self._stick(hip, _between(hip, knee, 0.75), wide, wide, look.trousers)

    def _arm(self, shoulder: Point, elbow: Point, wrist: Point) -> None:
        look, wide = self.look, 0.5 * self.proportions.arm_thickness * self.unit_px
        cloth = look.shirt if look.long_sleeves else look.skin
        self._capsules([
            _Capsule(wrist, wrist, wide, wide, look.skin),
            _Capsule(shoulder, elbow, wide, 0.9 * wide, cloth),
            _Capsule(elbow, _between(elbow, wrist, 0.75), 0.9 * wide, 0.8 * wide, cloth),
        ])  # fmt: skip
        if not look.long_sleeves:
            self._stick(shoulder, _between(shoulder, elbow, 0.5), wide, wide, look.shirt)

    def _head(self) -> None:
        head, radius = self.points[0], self.proportions.head_radius * self.unit_px
        neck = _between(self.points[1], self.points[4], 0.5)
        self._stick(neck, head, 0.4 * radius, 0.4 * radius, _darker(self.look.skin, 0.85))
        self._disc(head, radius + self.rim, _darker(self.look.skin))
        self._disc(head, radius, self.look.skin)
        tilt = math.atan2(head[0] - neck[0], neck[1] - head[1])
        turn = math.degrees(tilt)
        self.draw.chord(_box(head, CROWN * radius), 190 + turn, 350 + turn, fill=self.look.hair)
        face = _Frame(head, tilt)
        for side in (-1, 1):
            self._disc(face.at(side * 0.38 * radius, 0.12 * radius), 0.15 * radius, (30, 25, 30))
        mouth = [face.at(-0.3 * radius, 0.52 * radius), face.at(0.3 * radius, 0.52 * radius)]
        self.draw.line(mouth, fill=(150, 50, 50), width=max(round(0.14 * radius), 1))

    def _long_hair(self) -> None:
        head, radius = self.points[0], self.proportions.head_radius * self.unit_px
        end = _between(head, _between(self.points[1], self.points[4], 0.5), 0.75)
        self._capsules([_Capsule(head, end, CROWN * radius, 0.95 * radius, self.look.hair)])


def _box(centre: Point, radius: float) -> tuple[float, float, float, float]:
    return centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius


def _between(a: Point, b: Point, share: float) -> Point:
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])


def _darker(color: Color, share: float = 0.55) -> Color:
    return round(color[0] * share), round(color[1] * share), round(color[2] * share)
