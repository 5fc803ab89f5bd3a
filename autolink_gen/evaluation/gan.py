"""Scores of a GAN: the quality of its images, and how well they keep structure and style."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.evaluation.fid import (
    Extractor,
    features_of,
    frechet_distance,
    kernel_distance,
    spread_batches,
)
from autolink_gen.inference.detect_batches import detect_batches
from autolink_gen.inference.generate import Gan
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.keypoints import linked_keypoints

Distance = Callable[[Tensor, Tensor], Tensor]
_BATCH = 25


class Structure(NamedTuple):
    """How well painted images keep the requested poses.

    ``percent``: the mean distance of detected from requested keypoints, as the median over images, in % of the width;
    ``shuffled_percent``: the same from another image's keypoints.
    """

    percent: float
    shuffled_percent: float

    @property
    def ratio(self) -> float:
        """Requested over shuffled: 0 is perfect, 1 is chance, or there is only one pose."""
        return self.percent / self.shuffled_percent if self.shuffled_percent else 1.0


@dataclass(frozen=True)
class GanScores:
    """The scores of a GAN on N poses, a style each.

    ``structure`` uses the GAN's own graph, ``witness`` another one, which the GAN has not seen: there, the requested
    keypoints are detected in the real images that the poses are of.
    ``style_same``, ``style_other``: mean LPIPS between two images in different poses, of one style and of two.
    ``diversity``: mean LPIPS between two styles on one pose. ``distances``: Frechet and kernel distances to real
    images by name, each beside that of ``real_...``, other real images.
    """

    num_pictures: int
    structure: Structure
    witness: Structure | None
    style_same: float
    style_other: float
    diversity: float
    distances: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, flat."""
        values = asdict(self)
        distances = values.pop("distances")
        for name, score in {"structure": values.pop("structure"), "witness": values.pop("witness")}.items():
            if score is not None:
                by_suffix = {"percent": score.percent, "shuffled_percent": score.shuffled_percent, "ratio": score.ratio}
                values |= {f"{name}_{suffix}": value for suffix, value in by_suffix.items()}
        return {**values, **distances}


class _PaintedImages(NamedTuple):
    """Images in [0, 1]: in each pose's style, in another style, and on another pose."""

    original: Tensor
    restyled: Tensor
    reposed: Tensor


def evaluate_gan(
    gan: Gan,
    real: Dataset[Tensor],
    *,
    others: Dataset[Tensor] | None,
    extractors: dict[str, Extractor],
    perceptual: Distance,
    witness: AutoLink | None = None,
    count: int = 500,
    seed: int = 0,
    progress: Progress = no_progress,
) -> GanScores:
    """Score a GAN on the poses of ``count`` real images, or of all there are.

    ``others`` are the training images, whose distance to ``real`` is the floor; ``extractors`` gives the name of
    each kind of features, as in ``fd_NAME``; ``perceptual`` is LPIPS; ``witness`` is a graph that the GAN has not
    seen. Raises ValueError for fewer than two images.
    """
    count = min(count, len(real))  # type: ignore[arg-type]
    if count < 2:
        raise ValueError(f"{count} image is too few to evaluate a GAN on: give at least 2")
    keypoints = _detect(gan.graph, spread_batches(real, count=count))
    z = torch.randn(2, count, gan.style_size, generator=torch.Generator().manual_seed(seed))
    batches = list(progress(_paint(gan, keypoints, z.to(keypoints)), -(-count // _BATCH), "paint"))
    painted = _PaintedImages(*(torch.cat(tensors) for tensors in zip(*batches, strict=True)))
    structure = structure_of(painted.original, keypoints, graph=gan.graph)
    witness_structure = None
    if witness is not None:
        witness_keypoints = _detect(witness, spread_batches(real, count=count))
        witness_structure = structure_of(painted.original, witness_keypoints, graph=witness)
    same, other, diversity = _style_distances(painted, perceptual)
    distances = {}
    for name, extract in extractors.items():
        steps = -(-count // _BATCH)
        real_batches = progress(spread_batches(real, count=count, batch_size=_BATCH), steps, f"{name} of real images")
        reference = features_of(iter(real_batches), extract)
        sets = {"": _batches(painted.original)}
        if others is not None:
            sets["real_"] = spread_batches(others, count=count, batch_size=_BATCH)
        for prefix, images in sets.items():
            painted_batches = progress(images, steps, f"{prefix}{name}")
            features = features_of(iter(painted_batches), extract)
            frechet, kernel = ("fid", "kid") if name == "inception" else (f"fd_{name}", f"kd_{name}")
            distances[prefix + frechet] = frechet_distance(reference, features)
            distances[prefix + kernel] = kernel_distance(reference, features)
    return GanScores(count, structure, witness_structure, same, other, diversity, distances)


def structure_of(painted: Float[Tensor, "N 3 S S"], keypoints: Float[Tensor, "N K 2"], *, graph: AutoLink) -> Structure:
    """How well painted images in [0, 1] keep the requested ``keypoints`` of ``graph``.

    They are compared with other images' keypoints, too. Keypoints without edges do not count, as the generator does not
    see them.
    """
    detected, linked = _detect(graph, _batches(painted)), linked_keypoints(graph.edge_weights)
    both = []
    for target in (keypoints, keypoints[elsewhere(len(keypoints))]):
        distances = (detected - target)[:, linked].norm(dim=-1).mean(dim=1)
        both.append(float(distances.median()) / 2 * 100)
    return Structure(*both)


def elsewhere(count: int) -> Int64[Tensor, "N"]:
    """For each of ``count`` images the index of another one, in a fixed random order.

    Neighbours would not do: they often show one person in nearly one pose.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    others = torch.empty_like(order)
    others[order] = order.roll(1)
    return others


def _style_distances(painted: _PaintedImages, perceptual: Distance) -> tuple[float, float, float]:
    with torch.no_grad():
        same, other, diversity = (
            torch.cat(
                [perceptual(a, b).flatten() for a, b in zip(_batches(first), _batches(second), strict=True)]
            ).mean()
            for first, second in (
                (painted.original, painted.reposed),
                (painted.restyled, painted.reposed),
                (painted.original, painted.restyled),
            )
        )
    return float(same), float(other), float(diversity)


def _paint(gan: Gan, keypoints: Tensor, z: Tensor) -> Iterator[_PaintedImages]:
    other_poses = keypoints[elsewhere(len(keypoints))]
    for start in range(0, len(keypoints), _BATCH):
        rows = slice(start, start + _BATCH)
        pairs = ((keypoints, z[0]), (keypoints, z[1]), (other_poses, z[0]))
        yield _PaintedImages(*(gan.generate(points[rows], styles[rows]).cpu() for points, styles in pairs))


def _batches(images: Tensor) -> Iterator[Tensor]:
    return iter(images.split(_BATCH))


def _detect(graph: AutoLink, batches: Iterator[Tensor]) -> Tensor:
    return torch.cat([*detect_batches(graph, batches)])
