"""Compare a graph learned on the embedded puppets with their known joints and bones."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor, nn

from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.data.puppets.dataset import BONES, JOINT_NAMES, Puppets, PuppetSample
from autolink_gen.evaluation.landmarks import Annotations, blind, landmark_distances, predict
from autolink_gen.inference.detect_batches import detect_with_colours
from autolink_gen.models.autolink import FROZEN, AutoLink
from autolink_gen.viz.graphs import strong_edges

# Distances here are in percent of the image's width, which is 2 in normalised coordinates.
STRONG = 0.1  # a strong edge has at least this share of the largest weight: what detect and view-graph draw
BONE_RADIUS_PERCENT = 4.0
MIN_LENGTH_PERCENT = 5.0
MAX_ANGLE_DEGREES = 30.0
MIN_SHARE_NEAR = 0.75
_SAMPLES = 20
_TRUNK = ("head", "shoulder", "hip")
_LIMBS = np.array([bone for bone in BONES if not all(JOINT_NAMES[end].endswith(_TRUNK) for end in bone)])
_PERCENT = 2 / 100


@dataclass(frozen=True)
class PuppetScores:
    """How well a graph model knows the puppets.

    `joint_error_percent`: mean distance of regressed from true joints, in percent of the image's width, on
    `num_test` puppets after a fit on `num_fit` others; `mean_pose_error_percent`: that of their mean pose.
    `bone_share`: how many of the `num_strong_edges` strong edges lie along bones, `bone_coverage`: how many
    bones of arms and legs have strong edges along them; both in [0, 1].
    """

    joint_error_percent: float
    mean_pose_error_percent: float
    bone_share: float
    bone_coverage: float
    num_strong_edges: int
    num_fit: int
    num_test: int


@dataclass(frozen=True)
class PuppetResults:
    """The scores and the data behind them; all points are (x, y) in [-1, 1].

    ``samples`` and ``predicted_joints`` are of the `num_test` puppets.
    """

    scores: PuppetScores
    fit: Annotations
    test: Annotations
    samples: tuple[PuppetSample, ...]
    predicted_joints: Float[ndarray, "N 13 2"]


def evaluate_puppets(
    graph: AutoLink,
    *,
    num_fit: int = 500,
    num_test: int = 200,
    seed: int = 0,
    batch_size: int = 32,
    progress: Progress = no_progress,
) -> PuppetResults:
    """Detect on test puppets, regress joints, and compare edges with bones.

    Raises ValueError where there are fewer than one test puppet or two puppets to fit on.
    """
    if num_fit < 2 or num_test < 1:
        raise ValueError(f"num_fit={num_fit}, num_test={num_test}: give at least 2 and 1 puppets")
    puppets = Puppets(image_size=graph.config.input_size, seed=seed, length=num_fit + num_test, split="test")
    samples: list[PuppetSample] = []
    indices = progress(range(len(puppets)), len(puppets), "puppets")
    images = _collect(map(puppets.annotated, indices), samples)
    keypoints, widths, colours = detect_with_colours(graph, images, batch_size=batch_size)
    joints = np.stack([sample.joints for sample in samples]).astype(np.float64)
    fit, test = (
        Annotations(keypoints[rows], joints[rows], colours=colours[rows], widths=widths[rows])
        for rows in (slice(num_fit), slice(num_fit, None))
    )
    edges = strong_edge_indices(graph.edge_weights)
    scores = PuppetScores(
        joint_error_percent=joint_error_percent(fit, test),
        mean_pose_error_percent=joint_error_percent(blind(fit), blind(test)),
        bone_share=bone_share(test.detected, test.true, edges),
        bone_coverage=bone_coverage(test.detected, test.true, edges),
        num_strong_edges=len(edges),
        num_fit=num_fit,
        num_test=num_test,
    )
    return PuppetResults(scores, fit, test, tuple(samples[num_fit:]), predict(fit, test, bias=True))


def untrained_like(graph: AutoLink, *, seed: int = 0) -> AutoLink:
    """An untrained network of the same configuration and device, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        untrained = AutoLink(graph.config)
        frozen = {name: value for name, value in graph.state_dict().items() if name.startswith(FROZEN)}
        untrained.load_state_dict(untrained.state_dict() | frozen)
        return untrained.to(graph.edge_weights.device).eval()


def beside_untrained(graph: nn.Module, *, progress: Progress = no_progress) -> list[str]:
    """Lines that compare a graph's score on the puppets with an untrained graph's; a last one if it is no better."""
    assert isinstance(graph, AutoLink)
    graph.eval()
    learned, untrained = (evaluate_puppets(model, progress=progress).scores for model in (graph, untrained_like(graph)))
    lines = compare(learned, untrained)
    if not learned.joint_error_percent < untrained.joint_error_percent:
        lines.append(
            "this graph is no better than an untrained one: train it longer, with more --steps, or start anew with "
            "--fresh and a lower learning rate (--set optimiser.lr=...)"
        )
    return lines


def compare(learned: PuppetScores, untrained: PuppetScores) -> list[str]:
    """Lines that compare a model with an untrained one and with the mean pose."""
    shares = (
        ("strong edges that lie along bones", "bone_share"),
        ("arm and leg bones with strong edges along", "bone_coverage"),
    )
    error, error_untrained = learned.joint_error_percent, untrained.joint_error_percent
    lines = [
        f"{learned.num_test} unseen puppets, fitted on {learned.num_fit} others:",
        f"  joint error: {error:.2f} % of the image's width "
        f"(untrained {error_untrained:.2f} %, mean pose {learned.mean_pose_error_percent:.2f} %)",
    ]
    for text, name in shares:
        share, untrained_share = (100 * getattr(scores, name) for scores in (learned, untrained))
        lines.append(f"  {text}: {share:.0f} % (untrained {untrained_share:.0f} %)")
    counts = f"{learned.num_strong_edges} (untrained {untrained.num_strong_edges})"
    return [*lines, f"  strong edges, at least {100 * STRONG:.0f} % of the largest weight: {counts}"]


def _collect(items: Iterable[PuppetSample], samples: list[PuppetSample]) -> Iterator[ndarray]:
    for sample in items:
        samples.append(sample)
        yield sample.image


def joint_error_percent(fit: Annotations, test: Annotations) -> float:
    """Mean distance of joints, in percent of the width, from a regression with bias; all in [-1, 1]."""
    return float(np.nanmean(landmark_distances(predict(fit, test, bias=True), test)) / _PERCENT)


def strong_edge_indices(edge_weights: Float[Tensor, "K K"]) -> Int[ndarray, "E 2"]:
    """The keypoints (i, j), i < j, of the edges with at least a tenth of the largest weight."""
    edges = strong_edges(edge_weights.detach().cpu().numpy(), threshold=STRONG)
    return np.array([(i, j) for i, j, _ in edges], dtype=np.int64).reshape(-1, 2)


def bone_share(
    keypoints: Float[ndarray, "N K 2"], joints: Float[ndarray, "N 13 2"], edges: Int[ndarray, "E 2"]
) -> float:
    """The share of (puppet, edge) pairs in which the edge lies along bones, in [0, 1]; 0 without edges.

    See `follows`; an edge shorter than 5 % of the width is a dot, which lies along nothing. Random edges near
    the trunk get 0.1 to 0.2.
    """
    if not len(edges):
        return 0.0
    shares = []
    for points, true in zip(keypoints, joints, strict=True):
        segments = points[edges]
        shares.append((follows(segments, bone_segments(true)) & ~_is_dot(segments)).mean())
    return float(np.mean(shares))


def bone_coverage(
    keypoints: Float[ndarray, "N K 2"], joints: Float[ndarray, "N 13 2"], edges: Int[ndarray, "E 2"]
) -> float:
    """The share of (puppet, bone) pairs in which edges lie along the bone, in [0, 1]; see `follows`.

    Only the bones of arms and legs count: those of the trunk are a matter of convention.
    """
    shares = []
    for points, true in zip(keypoints, joints, strict=True):
        segments = points[edges]
        shares.append(follows(true[_LIMBS], segments[~_is_dot(segments)]).mean())
    return float(np.mean(shares))


def follows(segments: Float[ndarray, "E 2 2"], lines: Float[ndarray, "B 2 2"]) -> Bool[ndarray, " E"]:
    """Which segments run along some of the lines; ends are (x, y) in [-1, 1].

    At least three quarters of the points on such a segment are within 4 % of the image's width of a line
    that runs within 30 degrees of it. So one straight edge may be a whole limb over a slightly bent knee, and
    an edge across a limb does not count, however short it is.
    """
    steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    directions = segments[:, 1] - segments[:, 0]
    points = segments[:, None, 0] + steps[:, None] * directions[:, None]
    near = _segment_distances(points, lines) <= BONE_RADIUS_PERCENT * _PERCENT
    aligned = _cosines(directions, lines[:, 1] - lines[:, 0]) >= np.cos(np.radians(MAX_ANGLE_DEGREES))
    return (near & aligned[:, None]).any(axis=-1).mean(axis=-1) >= MIN_SHARE_NEAR


def _is_dot(segments: Float[ndarray, "E 2 2"]) -> Bool[ndarray, " E"]:
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=-1)
    return lengths < MIN_LENGTH_PERCENT * _PERCENT


def bone_segments(joints: Float[ndarray, "13 2"]) -> Float[ndarray, "B 2 2"]:
    """The ends of a puppet's bones: `BONES`, which has the trunk's outline alone, and neck and spine."""
    neck, pelvis = (joints[_indices(joint)].mean(axis=0) for joint in ("shoulder", "hip"))
    middle = np.array([[joints[0], neck], [neck, pelvis]])
    return np.concatenate([joints[np.array(BONES)], middle])


def _indices(joint: str) -> list[int]:
    return [index for index, name in enumerate(JOINT_NAMES) if name.endswith(joint)]


def _segment_distances(points: Float[ndarray, "E S 2"], lines: Float[ndarray, "B 2 2"]) -> Float[ndarray, "E S B"]:
    """Distance of each point from each segment."""
    offsets = points[:, :, None] - lines[:, 0]
    along = lines[:, 1] - lines[:, 0]
    squared = np.maximum((along**2).sum(axis=-1), 1e-12)
    position = np.clip((offsets * along).sum(axis=-1) / squared, 0, 1)
    return np.linalg.norm(offsets - position[..., None] * along, axis=-1)


def _cosines(first: Float[ndarray, "E 2"], second: Float[ndarray, "B 2"]) -> Float[ndarray, "E B"]:
    """Cosine of the angle between each two lines, whichever way they point."""
    lengths = np.linalg.norm(first, axis=-1)[:, None] * np.linalg.norm(second, axis=-1)
    return np.abs(first @ second.T) / np.maximum(lengths, 1e-12)
