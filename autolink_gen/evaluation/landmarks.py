"""The paper's protocols: the error of landmarks regressed from keypoints (AutoLink sec. 4).

A protocol fits least squares from the detected keypoints of one split of a data set to its landmarks,
predicts the landmarks of the other split, and scores the prediction. `PROTOCOLS` maps a name to
`f(fit, test) -> score`, where both splits are `Annotations`, coordinates are (x, y), and the score is the one
that the authors' code computes, with its sign and unit:

celeba_wild, celeba_aligned
    `true` in [0, 1]; `eye_distance`, or the 5 landmarks to compute it from. Without bias.
    Mean distance / eye distance.
faces68
    The same for the 68 usual landmarks.
cub
    `true` in [0, 1]; `visible`. Without bias, each landmark over the images that show it.
    Mean distance of visible landmarks.
deepfashion
    `true` in [0, 255]. Without bias. MINUS the share of landmarks nearer than 6.
taichi
    `true` in [0, 255], a coordinate of -1 is unlabelled. With bias, each coordinate over the images that
    label it. Sum over the coordinates of their mean absolute errors.
h36m
    `true` in [0, 1], 32 landmarks. Without bias; see `human36m` for its swaps of left and right.
    Mean distance.

Where `visible` is None every landmark is labelled; where it is given, all protocols but h36m heed it.
The official code holds (row, column); least squares and these scores are the same in either order.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Shaped
from numpy import ndarray

from autolink_gen.evaluation import human36m
from autolink_gen.evaluation.regression import apply_regression, fit_regression
from autolink_gen.ops.divergence import check_found

__all__ = ["PROTOCOLS", "Annotations", "apply_regression", "fit_regression"]

DEEPFASHION_RADIUS = 6.0  # in 255ths of the image's width
TAICHI_UNLABELLED = -1.0

# The landmarks whose mean is one eye, by the number of landmarks: CelebA's five and the usual 68.
EYES = {
    5: (slice(0, 1), slice(1, 2)),
    68: (slice(36, 42), slice(42, 48)),
}


@dataclass(frozen=True)
class Annotations:
    """Detected keypoints and annotated landmarks of one split, (x, y) in float64 arrays.

    `detected` (N, K, 2) in [-1, 1]; `true` (N, P, 2) in the range that the protocol wants (see the module);
    `visible` (N, P), True where there is a label, None = everywhere; `eye_distance` (N,), in `true`'s unit;
    `widths` (N, K), how widely each keypoint's heatmap spreads, for
    :mod:`autolink_gen.inference.landmark_regressor` alone;
    `colours` (N, 3), the mean colour of each image in [0, 1], for :mod:`autolink_gen.evaluation.leak` alone.

    Raises:
        ValueError: no images, shapes that do not fit together, values that are not finite (in `true`: where
            visible), or an eye distance that is not positive.
    """

    detected: Float[ndarray, "N K 2"]
    true: Float[ndarray, "N P 2"]
    visible: Shaped[ndarray, "N P"] | None = None
    eye_distance: Float[ndarray, " N"] | None = None
    colours: Float[ndarray, "N 3"] | None = None
    widths: Float[ndarray, "N K"] | None = None

    def __post_init__(self) -> None:
        dtypes = {
            "detected": np.float64,
            "true": np.float64,
            "visible": bool,
            "eye_distance": np.float64,
            "colours": np.float64,
            "widths": np.float64,
        }
        for name, dtype in dtypes.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, np.asarray(value, dtype=dtype))
        self._check_shapes()
        self._check_values()

    def _check_shapes(self) -> None:
        for name in ("detected", "true"):
            shape = getattr(self, name).shape
            if len(shape) != 3 or shape[2] != 2 or 0 in shape:
                raise ValueError(f"{name} has the shape {shape}; give at least one image, as (N, points, 2)")
        if len(self.detected) != len(self.true):
            raise ValueError(
                f"detected has {len(self.detected)} images and true {len(self.true)}; give them one to one"
            )
        count = len(self.true)
        expected_shapes = {
            "visible": self.true.shape[:2],
            "eye_distance": (count,),
            "colours": (count, 3),
            "widths": self.detected.shape[:2],
        }
        for name, expected in expected_shapes.items():
            value = getattr(self, name)
            if value is not None and value.shape != expected:
                raise ValueError(f"{name} has the shape {value.shape}; true asks for {expected}")

    def _check_values(self) -> None:
        check_found(self.detected, name="the model")
        if not np.isfinite(self.detected).all():
            raise ValueError("detected holds values that are not finite: leave out those images, or train anew")
        if not np.isfinite(self.true[labelled_landmarks(self)]).all():
            raise ValueError("true holds values that are not finite; set visible to False where there is no label")
        if self.eye_distance is not None and not (self.eye_distance > 0).all():
            raise ValueError(f"eye_distance goes down to {self.eye_distance.min()}; leave out images without two eyes")


# ---- predictions ----


def predict(fit: Annotations, test: Annotations, *, bias: bool = False) -> Float[ndarray, "N P 2"]:
    """Fit landmarks on one split, where visible, and predict those of the other."""
    if fit.true.shape[1] != test.true.shape[1]:
        raise ValueError(
            f"true holds {fit.true.shape[1]} landmarks in the fit split and {test.true.shape[1]} in the test "
            f"split; give the same landmarks in both"
        )
    labelled = np.repeat(labelled_landmarks(fit)[..., None], 2, axis=2)
    coefficients = fit_regression(fit.detected, fit.true, labelled, bias=bias)
    return apply_regression(coefficients, test.detected)


def blind(split: Annotations) -> Annotations:
    """The split with one constant keypoint, as of a detector that looks at no image.

    Every protocol then predicts the mean pose of the fit split; a model that learned anything beats that.
    """
    return replace(split, detected=np.zeros((len(split.true), 1, 2)), widths=None)


# ---- distances, where NaN stands for a landmark without a label ----


def labelled_landmarks(split: Annotations) -> Bool[ndarray, "N P"]:
    """Where there is a landmark to compare with: `visible`, or everywhere."""
    return np.ones(split.true.shape[:2], dtype=bool) if split.visible is None else split.visible


def landmark_distances(predicted: Float[ndarray, "N P 2"], test: Annotations) -> Float[ndarray, "N P"]:
    """Distance of each landmark from its prediction, in `test.true`'s unit; NaN if invisible.

    Raises ValueError where no test landmark is visible, or one is that the fit split never shows.
    """
    visible = labelled_landmarks(test)
    if not visible.any():
        raise ValueError("no landmark is visible in the test split; check the labels, or give other images")
    unknown = np.flatnonzero((visible & np.isnan(predicted).any(axis=-1)).any(axis=0))
    if len(unknown):
        raise ValueError(
            f"landmarks {unknown.tolist()} are visible in the test split and nowhere in the fit split; "
            f"give more fit images, or mark them invisible"
        )
    return np.where(visible, np.linalg.norm(predicted - test.true, axis=-1), np.nan)


def eye_distances(split: Annotations) -> Float[ndarray, " N"]:
    """Each image's distance between the eyes: `eye_distance` where given, else from the landmarks.

    With 68 landmarks the eyes are the means of points 36-41 and of 42-47, with 5 they are points 0 and 1.
    """
    if split.eye_distance is not None:
        return split.eye_distance
    num_landmarks = split.true.shape[1]
    if num_landmarks not in EYES:
        raise ValueError(
            f"eye_distance is missing, and {num_landmarks} landmarks are neither CelebA's 5 nor the usual "
            f"68; give it, or choose a protocol without it, such as cub"
        )
    eyes = EYES[num_landmarks]
    lacks_eye = ~np.concatenate([labelled_landmarks(split)[:, eye] for eye in eyes], axis=1).all(axis=1)
    first, second = (split.true[:, eye].mean(axis=1) for eye in eyes)
    distances = np.linalg.norm(first - second, axis=-1)
    is_invalid = lacks_eye | ~(distances > 0)
    if is_invalid.any():
        raise ValueError(
            f"eye_distance is missing, and {is_invalid.sum()} images (the first is number "
            f"{int(is_invalid.argmax())}) lack an eye's landmarks; leave them out or give eye_distance"
        )
    return distances


def eye_relative_distances(predicted: Float[ndarray, "N P 2"], test: Annotations) -> Float[ndarray, "N P"]:
    """`landmark_distances` as shares of each image's eye distance."""
    return landmark_distances(predicted, test) / eye_distances(test)[:, None]


def per_landmark(distances: Float[ndarray, "N P"]) -> Float[ndarray, " P"]:
    """The mean over images for each landmark; NaN for one that no image shows."""
    counts = (~np.isnan(distances)).sum(axis=0)
    return np.divide(np.nansum(distances, axis=0), counts, out=np.full(len(counts), np.nan), where=counts > 0)


def share_within(distances: Float[ndarray, "N P"], radius: float) -> float:
    """The share of labelled landmarks that are nearer than `radius`, in the unit of the distances."""
    return float((distances[~np.isnan(distances)] < radius).mean())


# ---- scores ----


def nme(fit: Annotations, test: Annotations) -> float:
    """Normalised mean error: mean over visible landmarks of distance / that image's eye distance, no bias.

    The protocol of CelebA, in the wild and aligned, and of faces68. 0.05 is 5 % of the eye distance.
    """
    return float(np.nanmean(eye_relative_distances(predict(fit, test), test)))


def mean_distance(fit: Annotations, test: Annotations) -> float:
    """Mean distance of visible landmarks, in the unit of `test.true`, no bias: the protocol of CUB."""
    return float(np.nanmean(landmark_distances(predict(fit, test), test)))


def _deepfashion(fit: Annotations, test: Annotations) -> float:
    """Minus the share of landmarks within 6 of 255: the official code minimises its scores."""
    return -share_within(landmark_distances(predict(fit, test), test), DEEPFASHION_RADIUS)


def _taichi(fit: Annotations, test: Annotations) -> float:
    """Sum over 2P coordinates of the mean absolute error over the images that label the coordinate."""
    coefficients = fit_regression(fit.detected, fit.true, _taichi_labels(fit), bias=True)
    errors = np.abs(apply_regression(coefficients, test.detected) - test.true)
    labelled = _taichi_labels(test)
    missing = np.flatnonzero((~labelled.any(axis=0) | np.isnan(coefficients).any(axis=0)).any(axis=1))
    # Differs: the official sum is NaN, or holds a fit to nothing; leaving a gap would flatter it.
    if len(missing):
        raise ValueError(f"landmarks {missing.tolist()} have no label in one of the splits; leave them out of both")
    return float((np.where(labelled, errors, 0).sum(axis=0) / labelled.sum(axis=0)).sum())


def _taichi_labels(split: Annotations) -> Bool[ndarray, "N P 2"]:
    return (np.abs(split.true - TAICHI_UNLABELLED) > 1e-6) & labelled_landmarks(split)[..., None]


def _h36m(fit: Annotations, test: Annotations) -> float:
    """Mean distance where left and right may be swapped in the truth; see `human36m`."""
    for name, split in (("fit", fit), ("test", test)):
        num_landmarks = split.true.shape[1]
        if num_landmarks != human36m.NUM_LANDMARKS or not labelled_landmarks(split).all():
            raise ValueError(
                f"true holds {num_landmarks} landmarks in the {name} split; h36m pairs left and right among "
                f"{human36m.NUM_LANDMARKS}, all of them visible; choose another protocol, such as cub"
            )
    coefficients = human36m.fit_without_sides(fit.detected, fit.true)
    return human36m.error_without_sides(apply_regression(coefficients, test.detected), test.true)


PROTOCOLS: dict[str, Callable[[Annotations, Annotations], float]] = {
    "celeba_wild": nme,
    "celeba_aligned": nme,
    "cub": mean_distance,
    "deepfashion": _deepfashion,
    "faces68": nme,
    "h36m": _h36m,
    "taichi": _taichi,
}
