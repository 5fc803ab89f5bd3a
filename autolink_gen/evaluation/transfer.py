"""How good a pose-transfer network is: one person's frames painted again, and one person moved by another."""

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
_SOURCE_PART = 4  # a clip's first quarter lends its appearance, the rest is painted
_BATCH = 16


class FrameScores(NamedTuple):
    """How near frames are to the true ones: means over frames.

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
    """The scores of a pose-transfer network on clips of people that it was not trained on.

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
        return {method: FrameScores(*(sum(column) / count for column in found)) for method, found in columns.items()}

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


class Painted(NamedTuple):
    """One clip's frames in [0, 1]: the true ones, and what each method shows in their place."""

    name: str
    source: Float[Tensor, "3 S S"]
    true: Float[Tensor, "T 3 S S"]
    shown: dict[str, Tensor]


def evaluate_transfer(
    model: Transfer,
    clips: Sequence[tuple[str, Float[Tensor, "_ 3 S S"]]],
    *,
    perceptual: Distance,
    source_frames: int = 8,
    keep: Callable[[Painted], object] = lambda painted: None,
    progress: Progress = no_progress,
) -> TransferScores:
    """Score a network on clips: their names and frames in [0, 1]; ``perceptual`` is LPIPS, ``keep`` sees each clip.

    ``source_frames`` frames of a clip's first quarter, evenly spread, are what the nearest in pose is chosen from.
    Raises ValueError where there is no clip, or one of fewer than two frames.
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
        asked = poses[index][-len(painted.true) :]
        scores = {
            method: _score(model, shown, painted.true, asked, perceptual) for method, shown in painted.shown.items()
        }
        reports.append(ClipReport(name, len(painted.true), scores))
        crossed.append(_cross(model, frames[:1], poses[index][:1], poses[(index + 1) % len(clips)]))
    own, copied = (sum(column) / len(column) for column in zip(*crossed, strict=True))
    return TransferScores(reports, own, copied)


def _paint_clip(model: Transfer, name: str, frames: Tensor, poses: Tensor, *, source_frames: int) -> Painted:
    start = max(1, len(frames) // _SOURCE_PART)
    pool = torch.tensor(evenly(start, source_frames))
    nearest = pool[_distances(model.graph, poses[start:, None], poses[pool][None]).argmin(dim=1)]
    asked = poses[start:].split(_BATCH)
    first = model.look_at(frames[:1].to(poses))
    near = (model.look_at(frames[lent].to(poses)) for lent in nearest.split(_BATCH))
    shown = {
        "network": torch.cat([model.paint(part, first) for part in asked]).to(frames),
        "network_nearest": torch.cat([model.paint(part, look) for part, look in zip(asked, near, strict=True)]),
        "copy": frames[:1].expand(len(nearest), -1, -1, -1),
        "nearest": frames[nearest],
    }
    shown["network_nearest"] = shown["network_nearest"].to(frames)
    return Painted(name, frames[0], frames[start:], shown)


def _score(model: Transfer, shown: Tensor, true: Tensor, poses: Tensor, perceptual: Distance) -> FrameScores:
    with needs("eval", "SSIM"):
        from torchmetrics.functional.image import structural_similarity_index_measure

    squared = (shown - true).square().mean().clamp_min(1e-10)
    parts = zip(shown.split(_BATCH), true.split(_BATCH), strict=True)
    with torch.no_grad():
        lpips = torch.cat([perceptual(a, b).flatten() for a, b in parts])
    similarity = structural_similarity_index_measure(shown, true, data_range=1.0)
    assert isinstance(similarity, Tensor)
    detected = _detect(model.graph, shown)
    return FrameScores(
        l1=float((shown - true).abs().mean()),
        psnr=float(-10 * squared.log10()),
        ssim=float(similarity),
        lpips=float(lpips.mean()),
        akd_graph=float(_distances(model.graph, detected, poses).mean()) / 2 * 100,
    )


def _cross(model: Transfer, source: Tensor, source_pose: Tensor, driver: Tensor) -> tuple[float, float]:
    """The distance in % of the width of what was painted from the driver's poses, and that of the source itself."""
    look = model.look_at(source.to(driver))
    detected = _detect(model.graph, torch.cat([model.paint(asked, look) for asked in driver.split(_BATCH)]))
    own, copied = (_distances(model.graph, found, driver).mean() for found in (detected, source_pose))
    return float(own) / 2 * 100, float(copied) / 2 * 100


def _detect(graph: AutoLink, frames: Tensor) -> Float[Tensor, "T K 2"]:
    return torch.cat([*detect_batches(graph, frames.split(_BATCH))])


def _distances(
    graph: AutoLink, one: Float[Tensor, "*#shape K 2"], other: Float[Tensor, "*#shape K 2"]
) -> Float[Tensor, "*shape"]:
    """The mean distance of keypoints, in units of [-1, 1], without those that have no edges to paint on."""
    return (one - other)[..., linked_keypoints(graph.edge_weights), :].norm(dim=-1).mean(dim=-1)
