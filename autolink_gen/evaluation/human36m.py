"""Human3.6M's protocol, which allows swapped sides.

A model without labels cannot know left from right.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from autolink_gen.evaluation.regression import apply_regression, fit_regression

NUM_LANDMARKS = 32
# Kept on purpose: 21-28 is the official code's slip for 21-29, and published figures hold it.
PAIRS = (
    (1, 6), (2, 7), (3, 8), (4, 9), (5, 10),
    (17, 25), (18, 26), (19, 27), (20, 28), (21, 28), (22, 30), (23, 31),
)  # fmt: skip
SETTLED = 10  # swapping ends when at most so many images would change
MAX_ROUNDS = 100
OUTLIER_SD = 3.0


def fit_without_sides(detected: Float[ndarray, "N K 2"], true: Float[ndarray, "N 32 2"]) -> Float[ndarray, "D 32 2"]:
    """Coefficients of a regression without bias that may call left right.

    Fit; swap left and right in the truth of images that fit better so; repeat until at most 10 would
    change; drop the images whose error is beyond mean + 3 standard deviations; fit again.
    """
    # Differs: the official loop has no end of its own, and least squares need not lower these mean distances.
    for _ in range(MAX_ROUNDS):
        predicted = apply_regression(fit_regression(detected, true), detected)
        swapped = _swap_where_nearer(true, predicted)
        if swapped is None:
            break
        true = swapped
    errors = _image_errors(predicted, true)
    # Differs: the official `<` would drop every image of a perfect fit.
    is_inlier = errors <= errors.mean() + OUTLIER_SD * errors.std(ddof=min(1, len(errors) - 1))
    return fit_regression(detected[is_inlier], true[is_inlier])


def error_without_sides(predicted: Float[ndarray, "N 32 2"], true: Float[ndarray, "N 32 2"]) -> float:
    """Mean distance, in the unit of `true`; sides are swapped where that is nearer."""
    for _ in range(MAX_ROUNDS):
        swapped = _swap_where_nearer(true, predicted)
        if swapped is None:
            break
        true = swapped
    return float(_image_errors(predicted, true).mean())


def swap_sides(true: Float[ndarray, "N 32 2"]) -> Float[ndarray, "N 32 2"]:
    """Exchange left and right as the official code does: 28 lands on 20 and on 21, 20 is lost, 29 stays."""
    order = list(range(NUM_LANDMARKS))
    for left, right in PAIRS:
        order[left], order[right] = right, left
    return true[:, order]


def _swap_where_nearer(
    true: Float[ndarray, "N 32 2"], predicted: Float[ndarray, "N 32 2"]
) -> Float[ndarray, "N 32 2"] | None:
    """The truth with sides swapped in images where that is nearer; None if they are few.

    Kept on purpose: as in the official code the last ten at most stay as they are, in either split.
    """
    swapped = swap_sides(true)
    nearer = _image_errors(predicted, true) > _image_errors(predicted, swapped)
    if nearer.sum() <= SETTLED:
        return None
    return np.where(nearer[:, None, None], swapped, true)


def _image_errors(predicted: Float[ndarray, "N 32 2"], true: Float[ndarray, "N 32 2"]) -> Float[ndarray, " N"]:
    return np.linalg.norm(predicted - true, axis=-1).mean(axis=1)
