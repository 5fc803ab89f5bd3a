"""A trained pose-transfer network and its graph, for animating images."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor, nn

from autolink_gen.checkpoints import build_model, check_poses, read_described, write_described
from autolink_gen.config import build, to_dict
from autolink_gen.data.images import fit_square
from autolink_gen.inference.confidence import Certainty, Judge, PosesWithWidths, is_blank, usual_width
from autolink_gen.inference.motion import OneEuroFilter, RelativeMotion, absolute_motion
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.models.transfer import SourceMaps, TransferConfig, TransferNetwork
from autolink_gen.ops.keypoints import linked_keypoints
from autolink_gen.ops.ranges import FARTHEST, check_bytes, check_keypoints, from_signed, to_signed, unit_images
from autolink_gen.ops.warping import keypoint_strengths
from autolink_gen.viz.graphs import to_uint8

_SWITCH = 0.8  # another source frame must be so much nearer to be taken
_USUAL_SIZE = 256  # pixels
_STALE_S = 1.0  # a sure pose longer ago is not gone back to


def load_transfer(path: str | os.PathLike[str], *, device: torch.device | str = "cpu") -> "Transfer":
    """Load a pose-transfer network and its graph, in eval mode, from a run's folder or a file.

    The file is a ``model.safetensors``. Raises ValueError if there is none, the file is of another kind, or weights are
    missing.
    """
    file, config, tensors = read_described(path, kind="transfer")
    poses = tensors.get("poses", torch.empty(0))

    def make() -> Transfer:
        graph = AutoLink(build(AutoLinkConfig, config["graph"]))
        labels = torch.zeros(graph.config.num_keypoints, dtype=torch.long)
        return Transfer(graph, TransferNetwork(build(TransferConfig, config["transfer"])), labels, poses)

    transfer = build_model(make, tensors, source=str(file))
    check_poses(poses, transfer.graph, source=str(file))
    if not 0 <= int(transfer.labels.min()) <= int(transfer.labels.max()) < transfer.network.config.clusters:
        raise ValueError(f"{file} names clusters that its network does not have: it is damaged, take another copy")
    return transfer.to(device).prepare_for_inference()  # last: moving drops the quicker copies


def save_transfer(path: Path, transfer: "Transfer", *, step: int | None = None) -> None:
    """Write the network's and the graph's weights, both configurations and the step to one file."""
    config = {"transfer": to_dict(transfer.network.config), "graph": to_dict(transfer.graph.config)}
    write_described(path, transfer.state_dict(), kind="transfer", config=config, step=step)


class SourceAppearance(NamedTuple):
    """The network's features of source frames, and the frames' keypoints (B, K, 2)."""

    maps: SourceMaps
    keypoints: Float[Tensor, "B K 2"]


@dataclass(frozen=True)
class Motion:
    """How the driver's poses become the source's.

    ``relative``: the movement since a reference frame is added to the source's own pose, else the pose itself is
    taken; ``adapt_scale``: made as large as the source is. The reference is the driver's first frame with a sure pose,
    or the keypoints ``reference`` (K, 2). ``smooth``: poses go through a one-euro filter.
    """

    relative: bool = True
    adapt_scale: bool = False
    smooth: bool = False
    reference: Float[ndarray, "K 2"] | None = None


RELATIVE = Motion()


class AnimatedFrame(NamedTuple):
    """A painted frame, uint8 RGB.

    ``keypoints`` (x, y) in [-1, 1] are those it was painted on, ``source`` is the index of the source frame used.
    ``held``: the driver's pose could not be detected, and the last sure one was kept.
    """

    pixels: UInt8[ndarray, "S S 3"]
    keypoints: Float[ndarray, "K 2"]
    source: int
    held: bool


class Transfer(nn.Module):
    """A pose-transfer network with its graph.

    ``labels`` (K,) are the clusters its edge maps have a channel for, ``poses`` (N, K, 2) some of those trained on.
    """

    labels: Tensor
    poses: Tensor

    def __init__(
        self, graph: AutoLink, network: TransferNetwork, labels: Int[Tensor, "K"], poses: Float[Tensor, "N K 2"]
    ) -> None:
        super().__init__()
        self.graph, self.network = graph, network
        self.register_buffer("labels", labels)
        self.register_buffer("poses", poses)

    def prepare_for_inference(self) -> "Transfer":
        """Switch to eval mode; use faster folded copies until weights change or move."""
        self.eval()
        self.graph.prepare_for_inference()
        self.network.prepare_for_inference()
        return self

    @property
    def image_size(self) -> int:
        """Width and height of what is painted, in pixels."""
        return self.network.config.image_size

    @property
    def strengths(self) -> Float[Tensor, " K"]:
        """Weight of each keypoint in the warp."""
        return keypoint_strengths(self.graph.edge_weights.detach())

    @property
    def linked_indices(self) -> Int[ndarray, "L"]:
        """The indices of keypoints with edges: these are drawn, and poses compared by them."""
        return linked_keypoints(self.graph.edge_weights).cpu().numpy()

    @property
    def usual_size(self) -> int:
        """The default width and height of frames; at least 256 if the network ``warps`` the source."""
        return max(_USUAL_SIZE, self.image_size) if self.network.config.warps else self.image_size

    def fit_images(
        self, images: Sequence[UInt8[ndarray, "_ _ 3"]], *, size: int | None = None
    ) -> UInt8[ndarray, "N S S 3"]:
        """Images of any size, made square as the graph's training images were.

        ``size`` is their width and height in pixels, the network's own unless given. Raises ValueError for arrays of
        another type or shape.
        """
        for pixels in images:
            if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
                raise ValueError(
                    f"images must be uint8 arrays (H, W, 3), got {pixels.dtype} {pixels.shape}; floats in [0, 1] "
                    f"become so by (255 * pixels).round().astype(np.uint8)"
                )
        side, fit = size or self.image_size, self.graph.config.fit
        return np.stack([np.asarray(fit_square(Image.fromarray(p), size=side, fit=fit)) for p in images])

    def prepare_images(
        self, images: Sequence[UInt8[ndarray, "_ _ 3"]], *, size: int | None = None
    ) -> Float[Tensor, "N 3 S S"]:
        """Images of any size as the network's input: square, in [0, 1], on its device."""
        squares = torch.from_numpy(self.fit_images(images, size=size))
        return squares.permute(0, 3, 1, 2).to(self.labels.device).float() / 255

    def detect(self, images: Sequence[UInt8[ndarray, "_ _ 3"]]) -> Float[ndarray, "N K 2"]:
        """The keypoints (x, y) in [-1, 1] of images, in the network's square input."""
        return self.graph.detect(self.prepare_images(images)).double().cpu().numpy()

    def detect_with_widths(self, images: Sequence[UInt8[ndarray, "_ _ 3"]]) -> PosesWithWidths:
        """The keypoints of `detect`, with the widths of their heatmaps."""
        keypoints, widths = self.graph.detect_with_widths(self.prepare_images(images))
        linked_widths = widths[:, linked_keypoints(self.graph.edge_weights)]
        return PosesWithWidths(keypoints.double().cpu().numpy(), linked_widths.double().mean(dim=1).cpu().numpy())

    def draw_edge_map(self, keypoints: Float[ndarray, "K 2"]) -> UInt8[ndarray, "S S 3"]:
        """The edge map of keypoints as a grey image; the strongest edge is white."""
        maps = self.edge_maps(torch.from_numpy(keypoints)[None].to(self.poses)).amax(1, keepdim=True)
        shares = maps / self.graph.edge_weights.max().clamp_min(1e-12)
        return to_uint8(shares.expand(-1, 3, -1, -1))[0]

    def animate(
        self,
        source: UInt8[ndarray, "H W 3"] | Sequence[UInt8[ndarray, "_ _ 3"]],
        driver_frames: Iterable[UInt8[ndarray, "_ _ 3"]],
        *,
        fps: float = 25.0,
        motion: Motion = RELATIVE,
        batch_size: int = 8,
        size: int | None = None,
    ) -> Iterator[UInt8[ndarray, "S S 3"]]:
        """Animate a source, one image or several, with the movement of the driver's frames.

        Reads ``batch_size`` driver frames at a time; ``fps`` matters only where motion is smoothed; ``size`` is as
        for :class:`Animator`. Raises ValueError where there is no source.
        """
        images = [source] if isinstance(source, ndarray) else list(source)
        animator = Animator(self, images, motion, size=size)
        timed_frames = ((number / fps, frame) for number, frame in enumerate(driver_frames))
        while batch := list(islice(timed_frames, batch_size)):
            yield from (frame.pixels for frame in animator(batch))

    def edge_maps(self, keypoints: Float[Tensor, "B K 2"]) -> Float[Tensor, "B C S S"]:
        """The graph drawn on keypoints, one channel for each cluster's edges.

        An edge between two clusters is drawn in both channels.
        """
        size, weights = self.network.config.image_size, self.graph.edge_weights
        inside = [self.labels == cluster for cluster in range(self.network.config.clusters)]
        cluster_weights = [weights * (members[:, None] | members) for members in inside]
        return torch.cat(
            [self.graph.edge_map(keypoints, size, edge_weights=weights) for weights in cluster_weights], dim=1
        )

    @torch.no_grad()
    def look_at(
        self,
        images: Float[Tensor, "B 3 S S"],
        *,
        fine: Float[Tensor, "B 3 s s"] | None = None,
        keypoints: Float[Tensor, "B K 2"] | None = None,
    ) -> SourceAppearance:
        """The appearance of images in [0, 1] of the network's size; ``fine`` are larger versions.

        Their ``keypoints`` are detected unless given. Raises ValueError for images in another range.
        """
        images = unit_images(images, name="images")
        fine = None if fine is None else unit_images(fine, name="fine")
        keypoints = self.graph.detect(images) if keypoints is None else keypoints
        maps = self.network.appearance(to_signed(images), self.edge_maps(keypoints))
        return SourceAppearance(maps if fine is None else maps._replace(images=to_signed(fine)), keypoints)

    @torch.no_grad()
    def paint(self, keypoints: Float[Tensor, "B K 2"], appearance: SourceAppearance) -> Float[Tensor, "B 3 s s"]:
        """Images in [0, 1] of an appearance in other poses; a single one is used for all.

        They have the network's size, or that of the ``fine`` images of :meth:`look_at` if it warps them. Raises
        ValueError for keypoints in pixels, and for values that are not finite.
        """
        check_keypoints(keypoints)
        count = len(keypoints)
        painted = self.network.paint(
            self.edge_maps(keypoints),
            keypoints,
            source=appearance.maps.each(lambda maps: maps if len(maps) == count else maps.expand(count, -1, -1, -1)),
            source_keypoints=appearance.keypoints.expand(count, -1, -1),
            strengths=self.strengths,
        )
        return from_signed(painted).clamp(0, 1)


class Animator:
    """Animates a source with driver frames, and keeps the state for smoothing and holding poses.

    ``size`` is the frames' width in pixels for a network that ``warps`` the source, its usual one unless given; other
    networks paint at the size they were trained with. ``usual`` is the usual width of heatmaps (`usual_width`), the
    source's unless given. ``source_poses`` are the keypoints of the source frames. ``reference`` is the index, from 0,
    and the time in seconds of the driver's frame that movement is relative to; None until there is one. Raises
    ValueError if there is no source, or only blank ones.
    """

    def __init__(
        self,
        transfer: Transfer,
        sources: Sequence[UInt8[ndarray, "_ _ 3"]],
        motion: Motion,
        *,
        size: int | None = None,
        usual: float | None = None,
    ) -> None:
        if not sources:
            raise ValueError("there is no source image to animate; give at least one")
        for pixels in sources:
            check_bytes(pixels, name="source")
        if all(is_blank(pixels) for pixels in sources):
            raise ValueError("the source is of one colour and shows no object; give an image or a video of one")
        self.transfer, self.motion = transfer, motion
        fine = transfer.prepare_images(sources, size=size or transfer.usual_size)
        poses = transfer.detect_with_widths(sources)
        self.source_poses: Float[ndarray, "M K 2"] = poses.keypoints
        source_keypoints = torch.from_numpy(poses.keypoints).to(fine)
        self.appearance = transfer.look_at(transfer.prepare_images(sources), fine=fine, keypoints=source_keypoints)
        self._filter = OneEuroFilter() if motion.smooth else None
        self.reference: tuple[int, float] | None = None
        self._reference = motion.reference
        self._linked = transfer.linked_indices
        usual = usual_width(poses.widths) if usual is None else usual
        self._judge = Judge(transfer.poses.cpu().numpy(), self._linked, usual=usual)
        self._held_pose: tuple[float, ndarray] | None = None  # the pose to hold, and its time
        self._source_index = self._number = 0

    def __call__(self, frames: Sequence[tuple[float, UInt8[ndarray, "_ _ 3"]]]) -> list[AnimatedFrame]:
        """Paint the next frames of the driver, given with their times in seconds."""
        for _, pixels in frames:
            check_bytes(pixels, name="frame")
        poses = self.transfer.detect_with_widths([pixels for _, pixels in frames])
        planned = [
            self._plan(points, time_s, certainty=self._judge(points, width=width, pixels=pixels))
            for points, width, (time_s, pixels) in zip(poses.keypoints, poses.widths, frames, strict=True)
        ]
        like = self.appearance.keypoints
        keypoints = torch.from_numpy(np.stack([points for points, _, _ in planned])).to(like)
        source_indices = torch.tensor([source for _, source, _ in planned], device=like.device)
        appearance = SourceAppearance(
            self.appearance.maps.each(lambda maps: maps[source_indices]), like[source_indices]
        )
        painted = to_uint8(self.transfer.paint(keypoints, appearance))
        return [AnimatedFrame(pixels, *plan) for pixels, plan in zip(painted, planned, strict=True)]

    def _plan(
        self, detected: Float[ndarray, "K 2"], time_s: float, *, certainty: Certainty
    ) -> tuple[Float[ndarray, "K 2"], int, bool]:
        """The keypoints to paint, the source frame's index, and whether an earlier pose was held.

        Until a pose is sure, the source keeps its own.
        """
        number, self._number = self._number, self._number + 1
        if certainty == Certainty.LOST or (self._reference is None and certainty != Certainty.SURE):
            return self.source_poses[0] if self._held_pose is None else self._held_pose[1], self._source_index, True
        smooth = self._filter(detected, time_s=time_s) if self._filter else detected
        if self._reference is None:
            self._reference, self.reference = smooth, (number, time_s)
        points = self._move(smooth)
        distances = np.linalg.norm((self.source_poses - points)[:, self._linked], axis=2).mean(axis=1)
        nearest = int(distances.argmin())
        if distances[nearest] < _SWITCH * distances[self._source_index]:  # a change must be worth the flicker
            self._source_index = nearest
        # An object that leaves draws keypoints together first: such a pose is shown, and not held.
        if certainty == Certainty.SURE or self._held_pose is None or time_s - self._held_pose[0] > _STALE_S:
            self._held_pose = (time_s, points)
        return points, self._source_index, False

    def _move(self, keypoints: Float[ndarray, "K 2"]) -> Float[ndarray, "K 2"]:
        assert self._reference is not None
        result, scales = self.source_poses[0].copy(), self.motion.adapt_scale
        source, reference, driver = (points[self._linked] for points in (result, self._reference, keypoints))
        if self.motion.relative:
            points = RelativeMotion(source, reference, adapt_scale=scales)(driver)
        else:
            points = absolute_motion(driver, source=source, reference=reference, adapt_scale=scales)
        result[self._linked] = np.clip(points, -FARTHEST, FARTHEST)
        return result
