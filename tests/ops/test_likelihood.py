"""The likelihood of keypoints by the width of their heatmaps: a line that falls, fitted on shares that are near."""

import numpy as np
import pytest
from helpers.messages import raises_mentioning

from autolink_gen.ops.likelihood import NEAR, UNCALIBRATED, LikelihoodMap, fit_likelihood

_NOTHING = (2 / 3) ** 0.5


def test_a_wider_heatmap_is_less_likely() -> None:
    assert UNCALIBRATED(np.array([0.0, 0.4, 2.0, np.nan])) == pytest.approx([1, 1 - 0.4 / _NOTHING, 0, 0])
    line = LikelihoodMap((0.1, 0.3), (0.9, 0.5))
    assert line(np.array([[0.0, 0.2], [0.3, 9.0]])) == pytest.approx(np.array([[0.9, 0.7], [0.5, 0.5]]))


def test_the_fit_finds_the_shares_of_points_that_are_near() -> None:
    draw = np.random.default_rng(0)
    widths = draw.uniform(0.05, 0.45, 40_000)
    true = 1 - 1.5 * widths
    distances = np.where(draw.uniform(size=len(widths)) < true, 1.9 * NEAR, 2.1 * NEAR)
    line = fit_likelihood(widths, distances)
    assert line is not None
    inside = np.linspace(0.08, 0.42, 20)
    assert line(inside) == pytest.approx(1 - 1.5 * inside, abs=0.02)
    assert line(np.array([_NOTHING])) == pytest.approx([0.0])


def test_a_fit_never_rises_with_the_width_nor_is_it_certain() -> None:
    draw = np.random.default_rng(1)
    widths = draw.uniform(0.1, 0.2, 400)
    line = fit_likelihood(widths, np.where(widths > 0.15, 0.0, draw.uniform(0, 0.2, 400)), span=0.9)
    assert line is not None and max(line.likelihoods) < 1
    assert (np.diff(line.likelihoods) <= 0).all() and (np.diff(line.widths) > 0).all()
    assert line.widths[-1] == pytest.approx(0.9 * _NOTHING, abs=1e-3)
    certain = fit_likelihood(widths, np.zeros(400))
    assert certain is not None and 0.97 < certain(np.array([0.1]))[0] < 1


def test_equal_widths_and_numbers_that_are_not_finite_are_no_trouble() -> None:
    widths, distances = np.full(200, 0.3), np.zeros(200)
    widths[0], distances[1] = np.nan, np.inf
    line = fit_likelihood(widths, distances)
    assert line is not None and len(line.widths) == 2
    assert fit_likelihood(np.full(200, _NOTHING), distances) == LikelihoodMap((_NOTHING,), (0.0,))


def test_too_few_points_fit_nothing() -> None:
    assert fit_likelihood(np.full(39, 0.2), np.zeros(39)) is None


@pytest.mark.parametrize(
    ("widths", "likelihoods"),
    [((0.1,), (0.5, 0.4)), ((), ()), ((0.2, 0.1), (0.5, 0.4)), ((0.1, 0.2), (0.4, 0.5)), ((0.1,), (1.5,))],
)
def test_a_line_that_is_none_is_refused(widths: tuple[float, ...], likelihoods: tuple[float, ...]) -> None:
    with raises_mentioning(ValueError, "likelihood*"):
        LikelihoodMap(widths, likelihoods)
