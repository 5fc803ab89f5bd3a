"""The error of named landmarks fitted on few labelled images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.evaluation.landmarks import Annotations, eye_distances, labelled_landmarks
from autolink_gen.inference.landmark_regressor import LandmarkRegressor, fit_landmarks

DRAWS = 10


@dataclass(frozen=True)
class FewShotScore:
    """The error of landmarks fitted on ``num_pictures`` images.

    Mean and standard deviation are over draws of these images, in percent of the image's eye distance where
    ``by_eyes``, else of its width. A landmark that no drawn image shows is left out of that draw. With all images there
    is one draw and no deviation.
    """

    num_pictures: int
    draws: int
    mean_percent: float
    deviation_percent: float
    by_eyes: bool


def few_shot(
    fit: Annotations,
    test: Annotations,
    counts: Sequence[int],
    *,
    by_eyes: bool,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress = no_progress,
) -> list[FewShotScore]:
    """For each count, fit on random samples of that size and score on the full test split.

    Landmarks are in [0, 1]. A count of all images, or more, is one draw. Raises ValueError for a count below 1.
    """
    if min(counts, default=1) < 1:
        raise ValueError(f"few-shot counts are {list(counts)}; each must be 1 or more")
    jobs = [
        (count, draw)
        for count in sorted({min(count, len(fit.true)) for count in counts})
        for draw in range(draws if count < len(fit.true) else 1)
    ]
    errors: dict[int, list[float]] = {}
    for count, draw in progress(jobs, len(jobs), "few-shot"):
        rows = np.random.default_rng([seed, count, draw]).choice(len(fit.true), count, replace=False)
        errors.setdefault(count, []).append(_error(_rows(fit, rows), test, by_eyes=by_eyes))
    return [
        FewShotScore(
            count, len(draw_errors), float(np.mean(draw_errors)) * 100, float(np.std(draw_errors)) * 100, by_eyes
        )
        for count, draw_errors in errors.items()
    ]


def fitted_regressor(fit: Annotations, *, names: tuple[str, ...], graph: str) -> LandmarkRegressor:
    """The regressor of all images of a split, with landmarks in [0, 1]."""
    coefficients = fit_landmarks(fit.detected, fit.true, labelled_landmarks(fit), widths=fit.widths)
    return LandmarkRegressor(names, coefficients, graph, len(fit.true))


def _error(fit: Annotations, test: Annotations, *, by_eyes: bool) -> float:
    names = tuple(map(str, range(fit.true.shape[1])))
    predicted = fitted_regressor(fit, names=names, graph="").predict(test.detected)
    distances = np.linalg.norm(predicted - test.true, axis=-1)
    if by_eyes:
        distances = distances / eye_distances(test)[:, None]
    is_labelled = labelled_landmarks(test) & ~np.isnan(distances)
    return float(distances[is_labelled].mean())


def _rows(split: Annotations, rows: Int[ndarray, "n"]) -> Annotations:
    visible, widths = (None if values is None else values[rows] for values in (split.visible, split.widths))
    return Annotations(split.detected[rows], split.true[rows], visible, widths=widths)
