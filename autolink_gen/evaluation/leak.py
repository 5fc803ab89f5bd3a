"""Appearance leak: how well an image's appearance is predicted from its keypoints alone.

The less, the more they describe the pose.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

FOLDS = 5
MIN_IMAGES = 10
MAX_IMAGES = 1000
DRAWS = 5  # of the folds: with few groups, one draw of them tells little
_PENALTIES = np.logspace(-4, 3, 15)  # of keypoints of variance 1; the last leaves next to nothing but the mean
_STILL = 1e-6  # of [-1, 1]: what moves less is the noise of single precision, which scaling would magnify


@dataclass(frozen=True)
class AppearanceLeak:
    """How well keypoints alone predict appearance, beside other images' keypoints.

    Compares models on the same images: it need not be 0, as a large body really covers more of its image.
    `appearance_leak` is the share of the mean colour's variance that is explained (R^2): 1 is all, 0 is as good as
    the mean colour of the other images, less is worse than that. `class_leak` is the share of images whose class
    is told, `class_share` that of the largest class; None where there are no classes.
    """

    appearance_leak: float
    appearance_leak_shuffled: float
    appearance_leak_pictures: int
    class_leak: float | None = None
    class_leak_shuffled: float | None = None
    class_share: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The numbers that there are, ready for JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def appearance_leak(
    keypoints: Float[ndarray, "N K 2"],
    colours: Float[ndarray, "M 3"],
    *,
    classes: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> AppearanceLeak:
    """Predict each image's mean colour and class from its keypoints by ridge regression.

    Colours are R, G and B in [0, 1]. Each fifth of the images is predicted by what was fitted on the others; images
    of one of the `groups`, such as a person, are in one fifth, since a known face would tell the colours of its
    other images. The penalty is chosen among the others alone. The numbers are means over five divisions into
    fifths, each with its own shuffle.

    Raises:
        ValueError: fewer than 10 images, fewer than 5 groups, lengths that differ, or values that are not finite.
    """
    features = np.asarray(keypoints, dtype=np.float64).reshape(len(keypoints), -1)
    colours = np.asarray(colours, dtype=np.float64)
    _check(features, colours, classes, groups)
    generator = np.random.default_rng(seed)
    count = len(features)
    draws = [(_folds(count, groups, generator), generator.permutation(count)) for _ in range(DRAWS)]

    def mean(score: Callable[[ndarray, ndarray, ndarray], float], targets: ndarray, *, shuffled: bool) -> float:
        scores = [score(features[order] if shuffled else features, targets, folds) for folds, order in draws]
        return float(np.mean(scores))

    result = AppearanceLeak(
        appearance_leak=mean(_r_squared, colours, shuffled=False),
        appearance_leak_shuffled=mean(_r_squared, colours, shuffled=True),
        appearance_leak_pictures=count,
    )
    if classes is None:
        return result
    numbers = np.unique(np.asarray(classes), return_inverse=True)[1]
    return replace(
        result,
        class_leak=mean(_accuracy, numbers, shuffled=False),
        class_leak_shuffled=mean(_accuracy, numbers, shuffled=True),
        class_share=float(np.bincount(numbers).max() / count),
    )


# ---- folds ----


def _check(features: ndarray, colours: ndarray, classes: Sequence[str] | None, groups: Sequence[str] | None) -> None:
    count = len(features)
    if count < MIN_IMAGES:
        raise ValueError(f"keypoints are of {count} images; give {MIN_IMAGES} or more to measure their leak on")
    if colours.shape != (count, 3):
        raise ValueError(f"colours has the shape {colours.shape}; give a mean colour an image, ({count}, 3)")
    for name, labels in (("classes", classes), ("groups", groups)):
        if labels is not None and len(labels) != count:
            raise ValueError(f"{name} has {len(labels)} entries for {count} images; give one for each")
    if groups is not None and len(set(groups)) < FOLDS:
        raise ValueError(f"groups names {len(set(groups))} groups; give {FOLDS} or more, or None")
    for name, values in (("keypoints", features), ("colours", colours)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds values that are not finite; leave out those images, or train anew")


def _folds(count: int, groups: Sequence[str] | None, generator: np.random.Generator) -> Int[ndarray, " N"]:
    """The fold of each image, 0 to 4; whole groups go into one."""
    labels = np.arange(count) if groups is None else np.asarray(groups)
    names, members = np.unique(labels, return_inverse=True)
    places: Int[ndarray, " N"] = (generator.permutation(len(names)) % FOLDS)[members]
    return places


# ---- ridge regression ----


def _r_squared(features: Float[ndarray, "N D"], targets: Float[ndarray, "N T"], folds: Int[ndarray, " N"]) -> float:
    """R^2 of held-out predictions over all targets; 0 if the targets do not vary."""
    predicted, means = _held_out(features, targets, folds)
    variance = ((targets - means) ** 2).sum()
    if variance < len(targets) * _STILL**2:
        return 0.0
    return float(1 - ((targets - predicted) ** 2).sum() / variance)


def _accuracy(features: Float[ndarray, "N D"], numbers: Int[ndarray, " N"], folds: Int[ndarray, " N"]) -> float:
    """The share of held-out images whose class is told."""
    predicted, _ = _held_out(features, np.eye(numbers.max() + 1)[numbers], folds)
    return float((predicted.argmax(axis=1) == numbers).mean())


def _held_out(
    features: Float[ndarray, "N D"], targets: Float[ndarray, "N T"], folds: Int[ndarray, " N"]
) -> tuple[Float[ndarray, "N T"], Float[ndarray, "N T"]]:
    """What the other folds predict of each image, and the mean of their targets."""
    predicted, means = np.empty_like(targets), np.empty_like(targets)
    for fold in range(FOLDS):
        is_held_out = folds == fold
        others = features[~is_held_out], targets[~is_held_out]
        penalty = _best_penalty(*others, folds[~is_held_out])
        predicted[is_held_out] = next(_ridge(*others, features[is_held_out], penalties=[penalty]))
        means[is_held_out] = targets[~is_held_out].mean(axis=0)
    return predicted, means


def _best_penalty(features: Float[ndarray, "N D"], targets: Float[ndarray, "N T"], folds: Int[ndarray, " N"]) -> float:
    """The penalty that predicts each of the folds best from the others."""
    errors = np.zeros(len(_PENALTIES))
    for fold in np.unique(folds):
        is_held_out = folds == fold
        predictions = _ridge(features[~is_held_out], targets[~is_held_out], features[is_held_out], penalties=_PENALTIES)
        errors += [((targets[is_held_out] - predicted) ** 2).sum() for predicted in predictions]
    return float(_PENALTIES[errors.argmin()])


def _ridge(
    features: Float[ndarray, "N D"],
    targets: Float[ndarray, "N T"],
    queries: Float[ndarray, "M D"],
    *,
    penalties: Sequence[float] | ndarray,
) -> Iterator[Float[ndarray, "M T"]]:
    """For each penalty, what ridge regression with bias on standardised features predicts."""
    centre, spread, mean = features.mean(axis=0), features.std(axis=0), targets.mean(axis=0)
    spread = np.where(spread > _STILL, spread, np.inf)
    scaled = (features - centre) / spread
    values, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    along = vectors.T @ (scaled.T @ (targets - mean)) / len(scaled)
    turned = (queries - centre) / spread @ vectors
    for penalty in penalties:
        yield mean + turned @ (along / (values + penalty)[:, None])
