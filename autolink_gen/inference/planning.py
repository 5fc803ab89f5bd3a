"""Which pose is painted for each frame of a driver, and from which frame of the source."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from autolink_gen.inference.confidence import Certainty, Judge
from autolink_gen.inference.motion import RelativeMotion, absolute_motion
from autolink_gen.inference.smoothing import Smoother, Smoothing
from autolink_gen.ops.ranges import FARTHEST

_SWITCH = 0.8  # another source frame must be so much nearer to be taken
_STALE_S = 1.0  # a sure pose longer ago is not gone back to


@dataclass(frozen=True)
class Motion:
    """How the driver's poses become the source's.

    ``relative``: the movement since a reference frame is added to the source's own pose, else the pose itself is
    taken; ``adapt_scale``: made as large as the source is. The reference is the driver's first frame with a sure pose,
    or the keypoints ``reference`` (K, 2). ``smooth``: how poses are smoothed over time.
    """

    relative: bool = True
    adapt_scale: bool = False
    smooth: Smoothing | None = None
    reference: Float[ndarray, "K 2"] | None = None


RELATIVE = Motion()


class Plan(NamedTuple):
    """What to paint: keypoints (x, y) in [-1, 1], the source frame's index, and whether an earlier pose is held."""

    keypoints: Float[ndarray, "K 2"]
    source: int
    held: bool


class AnimatedFrame(NamedTuple):
    """A painted frame, uint8 RGB.

    ``keypoints`` (x, y) in [-1, 1] are those it was painted on, ``source`` is the index of the source frame used.
    ``held``: the driver's pose could not be detected, and the last sure one was kept.
    """

    pixels: UInt8[ndarray, "S S 3"]
    keypoints: Float[ndarray, "K 2"]
    source: int
    held: bool


class _Frame(NamedTuple):
    """A driver's frame: its number from 0, its time, and how sure its pose is."""

    number: int
    time_s: float
    certainty: Certainty


class Planner:
    """Makes plans for a driver's frames in turn, and keeps the state for smoothing and holding poses.

    ``source_poses`` are the keypoints of the source frames, ``linked`` the keypoints with edges, ``judge`` tells how
    sure a pose is. ``reference`` is the index, from 0, and the time in seconds of the driver's frame that movement is
    relative to; None until there is one.
    """

    def __init__(
        self, source_poses: Float[ndarray, "M K 2"], motion: Motion, *, linked: Int[ndarray, "L"], judge: Judge
    ) -> None:
        self._source_poses, self._motion, self._linked, self._judge = source_poses, motion, linked, judge
        self._smoother = Smoother[_Frame](motion.smooth)
        self.reference: tuple[int, float] | None = None
        self._reference = motion.reference
        self._has_begun = motion.reference is not None
        self._held_pose: tuple[float, ndarray] | None = None  # the pose to hold, and its time
        self._source_index = self._number = 0

    def __call__(
        self, detected: Float[ndarray, "K 2"], time_s: float, *, width: float, pixels: UInt8[ndarray, "_ _ 3"]
    ) -> list[Plan]:
        """The plan for the next frame, in which keypoints were detected, with the mean width of their heatmaps.

        Until a pose is sure, the source keeps its own. Where smoothing looks ahead, plans come some frames later.
        """
        frame = _Frame(self._number, time_s, self._judge(detected, width=width, pixels=pixels))
        self._number += 1
        is_lost = frame.certainty == Certainty.LOST or (not self._has_begun and frame.certainty != Certainty.SURE)
        self._has_begun |= not is_lost
        smoothed = self._smoother.push(None if is_lost else detected, frame, time_s=time_s)
        return [self._plan(points, frame) for points, frame in smoothed]

    def finish(self) -> list[Plan]:
        """The plans that are still to come, where no frames are."""
        return [self._plan(points, frame) for points, frame in self._smoother.finish()]

    def _plan(self, smooth: Float[ndarray, "K 2"] | None, frame: _Frame) -> Plan:
        """The plan for a frame with its smoothed pose, None where the pose is lost."""
        if smooth is None:
            held = self._source_poses[0] if self._held_pose is None else self._held_pose[1]
            return Plan(held, self._source_index, held=True)
        if self._reference is None:
            self._reference, self.reference = smooth, (frame.number, frame.time_s)
        points = self._move(smooth)
        distances = np.linalg.norm((self._source_poses - points)[:, self._linked], axis=2).mean(axis=1)
        nearest = int(distances.argmin())
        if distances[nearest] < _SWITCH * distances[self._source_index]:  # a change must be worth the flicker
            self._source_index = nearest
        # An object that leaves draws keypoints together first: such a pose is shown, and not held.
        is_sure = frame.certainty == Certainty.SURE
        if is_sure or self._held_pose is None or frame.time_s - self._held_pose[0] > _STALE_S:
            self._held_pose = (frame.time_s, points)
        return Plan(points, self._source_index, held=False)

    def _move(self, keypoints: Float[ndarray, "K 2"]) -> Float[ndarray, "K 2"]:
        assert self._reference is not None
        result, scales = self._source_poses[0].copy(), self._motion.adapt_scale
        source, reference, driver = (points[self._linked] for points in (result, self._reference, keypoints))
        if self._motion.relative:
            points = RelativeMotion(source, reference, adapt_scale=scales)(driver)
        else:
            points = absolute_motion(driver, source=source, reference=reference, adapt_scale=scales)
        result[self._linked] = np.clip(points, -FARTHEST, FARTHEST)
        return result
