"""Scores of a pose-transfer network: same-person reconstruction, and cross-person transfer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from autolink_gen.common.extras import needs
from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.common.spread import evenly
from autolink_gen.inference.detect_batches import detect_batches
from autolink_gen.inference.transfer import Transfer
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.keypoints import linked_keypoints

Distance = Callable[[Tensor, Tensor], Tensor]
METHODS = ("network", "network_nearest", "copy", "nearest")
_SOURCE_SHARE = 4  # a clip's first quarter gives the appearance, the rest is painted
_BATCH = 16


class FrameScores(NamedTuple):
    """The errors and similarities of frames to the true ones, as means over frames.

    ``l1``: mean absolute error, in [0, 1]; ``psnr`` in dB, of the mean squared error over all frames, lest a few that
    hardly move decide it; ``ssim``; ``lpips``; ``akd_graph``: mean distance of the keypoints that the network's own
    graph detects in both, in % of the width. The name says whose: other papers measure theirs with a face or body
    detector, in pixels.
    """

    l1: float
    psnr: float
    ssim: float
    lpips: float
    akd_graph: float


@dataclass(frozen=True)
class ClipReport:
    """The scores of one clip, by method; ``num_frames`` were painted."""

    name: str
    num_frames: int
    scores: dict[str, FrameScores]


@dataclass(frozen=True)
class TransferScores:
    """The scores of a pose-transfer network on clips of people not seen in training.

    ``clips``: same-person reconstruction. Methods: ``network`` paints with the appearance of the clip's first
    frame; ``network_nearest`` with that of the frame of its first quarter that is nearest in pose; ``copy`` and
    ``nearest`` show these two frames as they are. ``cross_percent``: each clip's person moved by the next clip's:
    mean distance of the keypoints detected in what was painted from the driver's, in % of the width, beside that of
    the source frame as it is.
    """

    clips: list[ClipReport]
    cross_percent: float
    cross_copy_percent: float

    @property
    def means(self) -> dict[str, FrameScores]:
        """The mean over clips, by method."""
        columns = {method: zip(*(clip.scores[method] for clip in self.clips), strict=True) for method in METHODS}
        count = len(self.clips)
        return {method: FrameScores(*(sum(column) / count for column in scores)) for method, scores in columns.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "mean": _plain(self.means),
            "cross_percent": self.cross_percent,
            "cross_copy_percent": self.cross_copy_percent,
            "clips": [{**vars(clip), "scores": _plain(clip.scores)} for clip in self.clips],
        }


def _plain(scores: dict[str, FrameScores]) -> dict[str, dict[str, float]]:
    return {method: values._asdict() for method, values in scores.items()}


class PaintedClip(NamedTuple):
    """One clip's frames in [0, 1]: the true ones, and each method's."""

    name: str
    source: Float[Tensor, "3 S S"]
    true: Float[Tensor, "T 3 S S"]
    by_method: dict[str, Tensor]


def evaluate_transfer(
    model: Transfer,
    clips: Sequence[tuple[str, Float[Tensor, "_ 3 S S"]]],
    *,
    perceptual: Distance,
    source_frames: int = 8,
    keep: Callable[[PaintedClip], object] = lambda painted: None,
    progress: Progress = no_progress,
) -> TransferScores:
    """Score a network on clips, given by name and frames in [0, 1].

    ``perceptual`` is LPIPS, and ``keep`` is called with each painted clip. The nearest frame in pose is chosen from
    ``source_frames`` evenly spread frames of a clip's first quarter. Raises ValueError if there is no clip, or one of
    fewer than two frames.
    """
    if not clips:
        raise ValueError("there are no clips to evaluate on; give at least one")
    short = [name for name, frames in clips if len(frames) < 2]
    if short:
        raise ValueError(f"{short[0]} has fewer than two frames; leave it out")
    reports, crossed = [], []
    poses = [_detect(model.graph, frames) for _, frames in clips]
    for index, (name, frames) in enumerate(progress(clips, len(clips), "clips")):
        painted = _paint_clip(model, name, frames, poses[index], source_frames=source_frames)
        keep(painted)
        target_poses = poses[index][-len(painted.true) :]
        scores = {
            method: _score(model, frames_of_method, painted.true, target_poses, perceptual)
            for method, frames_of_method in painted.by_method.items()
        }
        reports.append(ClipReport(name, len(painted.true), scores))
        crossed.append(_cross(model, frames[:1], poses[index][:1], poses[(index + 1) % len(clips)]))
    moved_distance, copy_distance = (sum(column) / len(column) for column in zip(*crossed, strict=True))
    return TransferScores(reports, moved_distance, copy_distance)


def _paint_clip(model: Transfer, name: str, frames: Tensor, poses: Tensor, *, source_frames: int) -> PaintedClip:
    start = max(1, len(frames) // _SOURCE_SHARE)
    pool = torch.tensor(evenly(start, source_frames))
    nearest = pool[_distances(model.graph, poses[start:, None], poses[pool][None]).argmin(dim=1)]
    target_poses = poses[start:].split(_BATCH)
    first = model.look_at(frames[:1].to(poses))
    nearest_looks = (model.look_at(frames[indices].to(poses)) for indices in nearest.split(_BATCH))
    by_method = {
        "network": torch.cat([model.paint(batch, first) for batch in target_poses]).to(frames),
        "network_nearest": torch.cat(
            [model.paint(batch, look) for batch, look in zip(target_poses, nearest_looks, strict=True)]
        ),
        "copy": frames[:1].expand(len(nearest), -1, -1, -1),
        "nearest": frames[nearest],
    }
    by_method["network_nearest"] = by_method["network_nearest"].to(frames)
    return PaintedClip(name, frames[0], frames[start:], by_method)


def _score(model: Transfer, frames: Tensor, true: Tensor, poses: Tensor, perceptual: Distance) -> FrameScores:
    with needs("eval", "SSIM"):
        from torchmetrics.functional.image import structural_similarity_index_measure

    squared = (frames - true).square().mean().clamp_min(1e-10)
    pairs = zip(frames.split(_BATCH), true.split(_BATCH), strict=True)
    with torch.no_grad():
        lpips = torch.cat([perceptual(a, b).flatten() for a, b in pairs])
    similarity = structural_similarity_index_measure(frames, true, data_range=1.0)
    assert isinstance(similarity, Tensor)
    detected = _detect(model.graph, frames)
    return FrameScores(
        l1=float((frames - true).abs().mean()),
        psnr=float(-10 * squared.log10()),
        ssim=float(similarity),
        lpips=float(lpips.mean()),
        akd_graph=float(_distances(model.graph, detected, poses).mean()) / 2 * 100,
    )


def _cross(model: Transfer, source: Tensor, source_pose: Tensor, driver: Tensor) -> tuple[float, float]:
    """The distance of painted frames from the driver's poses, and the source's, in % of the width."""
    look = model.look_at(source.to(driver))
    detected = _detect(model.graph, torch.cat([model.paint(batch, look) for batch in driver.split(_BATCH)]))
    moved_distance, copy_distance = (
        _distances(model.graph, keypoints, driver).mean() for keypoints in (detected, source_pose)
    )
    return float(moved_distance) / 2 * 100, float(copy_distance) / 2 * 100


def _detect(graph: AutoLink, frames: Tensor) -> Float[Tensor, "T K 2"]:
    return torch.cat([*detect_batches(graph, frames.split(_BATCH))])


def _distances(
    graph: AutoLink, first: Float[Tensor, "*#shape K 2"], second: Float[Tensor, "*#shape K 2"]
) -> Float[Tensor, "*shape"]:
    """The mean distance of keypoints with edges, in units of [-1, 1]."""
    return (first - second)[..., linked_keypoints(graph.edge_weights), :].norm(dim=-1).mean(dim=-1)
