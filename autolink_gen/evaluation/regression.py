"""Least squares from detected keypoints to landmarks."""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray


def fit_regression(
    detected: Float[ndarray, "N K 2"],
    true: Float[ndarray, "N P 2"],
    labelled: Bool[ndarray, "N P 2"] | None = None,
    *,
    bias: bool = False,
) -> Float[ndarray, "D P 2"]:
    """Least squares from keypoints in [-1, 1] to landmarks: coefficients for each coordinate.

    Keypoints are mapped to [0, 1] first. D is 2K, and 2K + 1 with `bias`. Each coordinate is fitted over the
    images where it is `labelled` (None: all); the coefficients of one labelled nowhere are NaN.
    Differs: the official code inverts the normal equations and adds a ridge when that fails; numpy's `lstsq`
    gives the same where the keypoints are independent, and the smallest solution where they are not.
    """
    features = _features(detected, bias=bias)
    targets = true.reshape(len(true), -1)
    mask = np.ones(targets.shape, dtype=bool) if labelled is None else labelled.reshape(targets.shape)
    coefficients = np.full((features.shape[1], targets.shape[1]), np.nan)
    # Coordinates labelled in the same images are solved together: mostly that is all of them.
    patterns, pattern_of = np.unique(mask, axis=1, return_inverse=True)
    for index, rows in enumerate(patterns.T):
        columns = pattern_of.reshape(-1) == index
        if rows.any():
            solution = np.linalg.lstsq(features[rows], targets[rows][:, columns], rcond=None)
            coefficients[:, columns] = solution[0]
    return coefficients.reshape(-1, *true.shape[1:])


def apply_regression(
    coefficients: Float[ndarray, "D P 2"], detected: Float[ndarray, "N K 2"]
) -> Float[ndarray, "N P 2"]:
    """Predict landmarks with the coefficients of `fit_regression`; D tells whether there is a bias.

    Raises ValueError where the coefficients were fitted on another number of keypoints.
    """
    num_keypoints = detected.shape[1]
    if len(coefficients) not in (2 * num_keypoints, 2 * num_keypoints + 1):
        raise ValueError(
            f"the regression was fitted on {len(coefficients) // 2} keypoints and is applied to "
            f"{num_keypoints}; use the same model for both splits"
        )
    features = _features(detected, bias=len(coefficients) % 2 == 1)
    return np.tensordot(features, coefficients, axes=1)


def _features(detected: Float[ndarray, "N K 2"], *, bias: bool) -> Float[ndarray, "N D"]:
    unit = (np.asarray(detected, dtype=np.float64).reshape(len(detected), -1) + 1) / 2
    return np.concatenate([unit, np.ones((len(unit), 1))], axis=1) if bias else unit
