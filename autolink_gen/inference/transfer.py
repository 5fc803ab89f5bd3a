"""A trained pose-transfer network and its graph, for animating images."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor, nn

from autolink_gen.checkpoints import load_generator, save_generator
from autolink_gen.common.ahead import one_behind, read_ahead
from autolink_gen.common.batch_sizes import BatchSize, fitting_batch_size
from autolink_gen.common.devices import double_on_cpu, float64_array, to_cpu_later, to_device, usable_device
from autolink_gen.config import build
from autolink_gen.data.images import fit_square
from autolink_gen.inference.confidence import Judge, PosesWithWidths, is_blank, usual_width
from autolink_gen.inference.planning import RELATIVE, AnimatedFrame, Motion, Plan, Planner
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.transfer import SourceMaps, TransferConfig, TransferNetwork
from autolink_gen.ops.keypoints import linked_keypoints
from autolink_gen.ops.ranges import check_bytes, check_keypoints, from_signed, to_signed, unit_images
from autolink_gen.ops.warping import keypoint_strengths
from autolink_gen.viz.graphs import to_bytes, to_uint8

TimedFrames = Sequence[tuple[float, UInt8[ndarray, "_ _ 3"]]]  # with their times in seconds
_USUAL_SIZE = 256  # pixels
_BATCH = 8
_BYTES_PER_PX = 8192  # of what the network paints, at its most, with room to spare: of 128 px it takes 2650
_BYTES_PER_FINE_PX = 512  # of a finer source that it warps
_MAX_PAINTED_BYTES = 2**28  # of frames painted at once


def load_transfer(path: str | os.PathLike[str], *, device: torch.device | str = "cpu") -> "Transfer":
    """Load a pose-transfer network and its graph, in eval mode, from a run's folder or a file.

    The file is a ``model.safetensors``. Raises ValueError if there is none, the file is of another kind, or weights are
    missing.
    """
    device = usable_device(str(device))

    def make(config: dict[str, Any], graph: AutoLink, poses: Tensor) -> Transfer:
        labels = torch.zeros(graph.config.num_keypoints, dtype=torch.long)
        return Transfer(graph, TransferNetwork(build(TransferConfig, config)), labels, poses)

    file, transfer = load_generator(path, kind="transfer", make=make)
    if not 0 <= int(transfer.labels.min()) <= int(transfer.labels.max()) < transfer.network.config.clusters:
        raise ValueError(f"{file} names clusters that its network does not have: it is damaged, take another copy")
    return transfer.to(device).prepare_for_inference()  # last: moving drops the quicker copies


def save_transfer(path: Path, transfer: "Transfer", *, step: int | None = None) -> None:
    """Write the network's and the graph's weights, both configurations and the step to one file."""
    save_generator(path, transfer, transfer.graph, kind="transfer", config=transfer.network.config, step=step)


class SourceAppearance(NamedTuple):
    """The network's features of source frames, and the frames' keypoints (B, K, 2)."""

    maps: SourceMaps
    keypoints: Float[Tensor, "B K 2"]


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
        return self._bytes(images, size=size).float() / 255

    def _bytes(self, images: Sequence[UInt8[ndarray, "_ _ 3"]], *, size: int | None = None) -> UInt8[Tensor, "N 3 S S"]:
        squares = torch.from_numpy(self.fit_images(images, size=size))
        return to_device(squares.permute(0, 3, 1, 2), self.labels.device)

    def detect(self, images: Sequence[UInt8[ndarray, "_ _ 3"]]) -> Float[ndarray, "N K 2"]:
        """The keypoints (x, y) in [-1, 1] of images, in the network's square input."""
        return float64_array(self.graph.detect(self._bytes(images)))

    def detect_with_widths(self, images: Sequence[UInt8[ndarray, "_ _ 3"]]) -> PosesWithWidths:
        """The keypoints of `detect`, with the widths of their heatmaps."""
        return self.detect_later(images, linked=self.linked_indices)()

    def detect_later(
        self, images: Sequence[UInt8[ndarray, "_ _ 3"]], *, linked: Int[ndarray, "L"]
    ) -> Callable[[], PosesWithWidths]:
        """Begin to detect; what comes back waits for `detect_with_widths`, ``linked`` being the `linked_indices`."""
        keypoints, widths = map(to_cpu_later, self.graph.detect_with_widths(self._bytes(images)))

        def wait() -> PosesWithWidths:
            linked_widths = double_on_cpu(widths())[:, linked].mean(dim=1)
            return PosesWithWidths(float64_array(keypoints()), linked_widths.numpy())

        return wait

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
        batch_size: int | None = None,
        size: int | None = None,
    ) -> Iterator[UInt8[ndarray, "S S 3"]]:
        """Animate a source, one image or several, with the movement of the driver's frames.

        Reads ``batch_size`` driver frames at a time; None: 8, or more where a CUDA device has the memory. ``fps``
        matters only where motion is smoothed; ``size`` is as for :class:`Animator`. Raises ValueError where there is
        no source.
        """
        images = [source] if isinstance(source, ndarray) else list(source)
        animator = Animator(self, images, motion, size=size)
        timed_frames = ((number / fps, frame) for number, frame in enumerate(driver_frames))
        chosen = BatchSize(animator.batch_size if batch_size is None else batch_size)
        ahead = read_ahead(chosen.batches(timed_frames), beside=self.labels.device)
        yield from (frame.pixels for frame in animator.animate(ahead, chosen))

    def edge_maps(self, keypoints: Float[Tensor, "B K 2"]) -> Float[Tensor, "B C S S"]:
        """The graph drawn on keypoints, one channel for each cluster's edges.

        An edge between two clusters is drawn in both channels.
        """
        size = self.network.config.image_size
        return torch.cat(
            [self.graph.edge_map(keypoints, size, edge_weights=weights) for weights in self.cluster_weights()], dim=1
        )

    def cluster_weights(self) -> list[Float[Tensor, "K K"]]:
        """The edge weights that each channel of the edge maps draws."""
        weights = self.graph.edge_weights
        inside = [self.labels == cluster for cluster in range(self.network.config.clusters)]
        return [weights * (members[:, None] | members) for members in inside]

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
        return self.paint_unchecked(keypoints, appearance)

    @torch.no_grad()
    def paint_unchecked(
        self, keypoints: Float[Tensor, "B K 2"], appearance: SourceAppearance
    ) -> Float[Tensor, "B 3 s s"]:
        """Like `paint`, for keypoints known to be finite and not in pixels; does not wait for the device."""
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
    source's unless given. ``source_poses`` are the keypoints of the source frames. Raises ValueError if there is no
    source, or only blank ones.
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
        self.transfer = transfer
        fine = transfer.prepare_images(sources, size=size or transfer.usual_size)
        poses = transfer.detect_with_widths(sources)
        self.source_poses: Float[ndarray, "M K 2"] = poses.keypoints
        source_keypoints = torch.from_numpy(poses.keypoints).to(fine)
        self.appearance = transfer.look_at(transfer.prepare_images(sources), fine=fine, keypoints=source_keypoints)
        self._linked = transfer.linked_indices
        usual = usual_width(poses.widths) if usual is None else usual
        judge = Judge(transfer.poses.cpu().numpy(), self._linked, usual=usual)
        self._planner = Planner(poses.keypoints, motion, linked=self._linked, judge=judge)

    @property
    def reference(self) -> tuple[int, float] | None:
        """Index, from 0, and time in seconds of the driver's frame that movement is relative to; None until known."""
        return self._planner.reference

    @property
    def batch_size(self) -> int:
        """The frames to paint at once: 8, or more where a CUDA device has the memory."""
        size, fine = self.transfer.image_size, self.appearance.maps.images.shape[-1]
        bytes_each = _BYTES_PER_PX * size**2 + _BYTES_PER_FINE_PX * fine**2
        fitting = fitting_batch_size(self.transfer.labels.device, usual=_BATCH, bytes_each=bytes_each)
        return max(_BATCH, min(fitting, _MAX_PAINTED_BYTES // (3 * fine**2)))

    def __call__(self, frames: TimedFrames) -> list[AnimatedFrame]:
        """Paint the next frames of the driver, given with their times in seconds."""
        return list(self.animate([frames], BatchSize(max(1, len(frames)))))

    def animate(self, batches: Iterable[TimedFrames], size: BatchSize) -> Iterator[AnimatedFrame]:
        """Paint batches of the driver's frames in turn, at most ``size`` frames at once.

        While a device paints, the frames painted before can be written. A median looks ahead, but not beyond the last
        batch.
        """
        device = self.transfer.labels.device
        detected = (found for frames in batches for found in size.results(self._detect, frames))
        planned = self._plan_all(one_behind(detected, beside=device))
        painted = (fetch for plans in planned for fetch in size.results(self._paint, plans))
        for fetch in one_behind(painted, beside=device):
            yield from fetch()

    def _detect(self, frames: TimedFrames) -> tuple[TimedFrames, Callable[[], PosesWithWidths]]:
        """The frames, and what waits for their poses."""
        for _, pixels in frames:
            check_bytes(pixels, name="frame")
        return frames, self.transfer.detect_later([pixels for _, pixels in frames], linked=self._linked)

    def _plan_all(self, detected: Iterable[tuple[TimedFrames, Callable[[], PosesWithWidths]]]) -> Iterator[list[Plan]]:
        """What to paint in the frames' places; before an error of the frames come the plans of those before it."""
        try:
            for frames, fetch in detected:
                yield [
                    plan
                    for points, width, (time_s, pixels) in zip(*fetch(), frames, strict=True)
                    for plan in self._planner(points, time_s, width=width, pixels=pixels)
                ]
        except Exception:
            yield self._planner.finish()
            raise
        yield self._planner.finish()

    def _paint(self, plans: Sequence[Plan]) -> Callable[[], list[AnimatedFrame]]:
        """Begin to paint; what comes back waits for the frames."""
        like = self.appearance.keypoints
        keypoints = torch.from_numpy(np.stack([plan.keypoints for plan in plans])).to(like.dtype)
        check_keypoints(keypoints)
        sources = to_device(torch.tensor([plan.source for plan in plans]), like.device)
        appearance = SourceAppearance(self.appearance.maps.each(lambda maps: maps[sources]), like[sources])
        painted = self.transfer.paint_unchecked(to_device(keypoints, like.device), appearance)
        fetch = to_cpu_later(to_bytes(painted))
        return lambda: [AnimatedFrame(pixels, *plan) for pixels, plan in zip(fetch().numpy(), plans, strict=True)]
