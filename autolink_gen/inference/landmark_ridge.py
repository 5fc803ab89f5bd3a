"""Ridge regression of landmarks on keypoints, whose strengths leave-one-out chooses."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_ALPHAS = np.logspace(-6, 2, 17)  # strengths of the ridge to choose from
_FREEDOMS = (0.1, 0.3, 1.0)  # how freely a landmark leaves its common combination: chosen from, on people held out
_LEAST_REST = 1e-6  # of an image in its own prediction: with less left, leaving it out says nothing


@dataclass(frozen=True)
class _Choice:
    """A fit with one strength, and the mean distance of landmarks where each image is left out."""

    error: float
    slopes: Float[ndarray, "D P"]


def fit_slopes(
    keypoints: Float[ndarray, "N K 2"], targets: Float[ndarray, "N P 2"], scales: Float[ndarray, "K"]
) -> Float[ndarray, "K 2 P 2"]:
    """Slopes from keypoints to targets, both taken as deviations from their means.

    A slope has two parts: a weight of the keypoint that x and y have in common, as an affine combination has, and a
    part for each pair of coordinates, which is penalised more. ``scales``: a keypoint with a larger one is penalised
    less. Leave-one-out chooses how strong each penalty is, for all targets together. Zero for a single image, and
    where keypoints do not move.
    """
    num_images, num_keypoints, _ = keypoints.shape
    num_targets = targets.shape[1]
    moves = (keypoints - keypoints.mean(axis=0)) * scales[:, None]
    missed = (targets - targets.mean(axis=0)).transpose(0, 2, 1)
    if num_images == 1 or not moves.any():
        return np.zeros((num_keypoints, 2, num_targets, 2))
    choices = [_best_alpha(_design(moves, freedom), missed) for freedom in _FREEDOMS]
    best = min(range(len(choices)), key=lambda index: choices[index].error)
    common, own = np.split(choices[best].slopes, [num_keypoints])
    slopes = common[:, None, :, None] * np.eye(2)[:, None, :]
    pairs = own.reshape(2, num_keypoints, 2, num_targets).transpose(1, 2, 3, 0)
    return (slopes + _FREEDOMS[best] * pairs) * scales[:, None, None, None]


def _design(moves: Float[ndarray, "N K 2"], freedom: float) -> Float[ndarray, "N 2 D"]:
    """What x and y of each image depend on: K common weights, then 2K for x and 2K for y."""
    num_images = len(moves)
    both = freedom * moves.reshape(num_images, -1)
    own = np.einsum("cd,nk->ncdk", np.eye(2), both).reshape(num_images, 2, -1)
    return np.concatenate([moves.transpose(0, 2, 1), own], axis=2)


def _best_alpha(design: Float[ndarray, "N 2 D"], missed: Float[ndarray, "N 2 P"]) -> _Choice:
    """The best of the ridges of a design."""
    num_images, size = len(design), design.shape[2]
    left, values, right = np.linalg.svd(design.reshape(-1, size), full_matrices=False)
    rows, inside = left.reshape(num_images, 2, -1), left.T @ missed.reshape(2 * num_images, -1)
    best: tuple[float, Float[ndarray, " R"]] | None = None
    for alpha in _ALPHAS:
        shrunk = values**2 / (values**2 + alpha)
        rest = missed - (rows * shrunk) @ inside
        # What an image has in its own prediction, by its slopes and by the mean.
        own = (rows * shrunk) @ rows.transpose(0, 2, 1) + np.eye(2) / num_images
        kept = np.eye(2) - own
        if np.linalg.det(kept).min() < _LEAST_REST:
            continue
        error = float(np.linalg.norm(np.linalg.solve(kept, rest), axis=1).mean())
        if best is None or error < best[0]:
            best = error, values / (values**2 + alpha)
    if best is None:
        return _Choice(np.inf, np.zeros((size, missed.shape[2])))
    return _Choice(best[0], right.T @ (best[1][:, None] * inside))
