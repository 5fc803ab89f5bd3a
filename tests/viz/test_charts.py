import numpy as np
import torch

from autolink_gen.viz import charts
from autolink_gen.viz.edge_matrix import edge_matrix_figure


def test_figures_are_pictures_with_content() -> None:
    weights = torch.zeros(5, 5)
    weights[0, 1] = weights[1, 0] = 3.0
    heat, empty = edge_matrix_figure(weights), edge_matrix_figure(np.zeros((5, 5)))
    assert heat.dtype == np.uint8 and heat.ndim == 3 and heat.shape[2] == 3
    assert heat.shape == empty.shape
    assert (heat != empty).any()


def test_a_curve_of_distances_shows_its_levels() -> None:
    rows = [{"step": 10, "fd": 90.0}, {"step": 20, "fd": 40.0}]
    plain, marked = (charts.distance_curve(rows, key="fd", marks=marks) for marks in ({}, {"floor": 3.0}))
    assert plain.shape == marked.shape
    assert (plain != marked).any()


def test_columns_keep_their_order_while_places_are_missing() -> None:
    full = [("a", "1", (3.0, 0.0)), ("a", "2", (2.0, 0.0)), ("b", "1", (4.0, 0.0)), ("b", "2", (1.0, 0.0))]
    names = {"rows": "row", "columns": "column", "score": "score"}
    missing = charts.grid_chart([("a", "1", None), *full[1:]], **names)
    assert (missing != charts.grid_chart(full, **names)).any()
    assert (missing != charts.grid_chart(full[1:], **names)).any(), "without its place the columns would be swapped"
