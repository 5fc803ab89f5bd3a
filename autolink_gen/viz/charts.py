"""Charts of runs by matplotlib, as uint8 arrays: curves over the steps, and ablations.

Each raises ValueError, with pip's command, where matplotlib is not installed.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from autolink_gen.common.extras import needs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pixels = UInt8[ndarray, "_ _ 3"]  # height, width, RGB


def distance_curve(rows: Sequence[Mapping[str, Any]], *, key: str, marks: Mapping[str, float]) -> Pixels:
    """Draw a curve over the steps on a logarithmic scale, and levels to compare it with."""
    figure = _figure(7.0, 4.0)
    axes = figure.add_subplot()
    axes.plot([row["step"] for row in rows], [row[key] for row in rows], marker="o", color="tab:blue", label=key)
    for index, (name, value) in enumerate(marks.items()):
        axes.axhline(value, color=f"C{index + 1}", linestyle="--", label=f"{name}: {value:.4g}")
    axes.set(xlabel="step", ylabel=key, yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    return _render(figure)


def grid_chart(
    places: Sequence[tuple[str, str, tuple[float, float] | None]], *, rows: str, columns: str, score: str
) -> Pixels:
    """Draw an ablation: bars for its rows, or a line over the columns for each row.

    ``places`` are (row, column, (mean, deviation)) in the order to draw them, the deviations drawn as error bars; ""
    is no column, None a place that has no value yet.
    """
    known = [(row, column, value) for row, column, value in places if value is not None]
    figure = _figure(7.0, 4.0)
    axes = figure.add_subplot()
    names = list(dict.fromkeys(row for row, _, _ in known))
    if not columns:
        means, deviations = zip(*(value for _, _, value in known), strict=True)
        axes.barh(names, means, xerr=deviations, color="tab:blue", alpha=0.8)
        axes.invert_yaxis()
        axes.set(xlabel=score)
    else:
        order = list(dict.fromkeys(column for _, column, _ in places))
        for name in names:
            line = [(order.index(column), *value) for row, column, value in known if row == name]
            positions, means, deviations = zip(*line, strict=True)
            axes.errorbar(positions, means, yerr=deviations, marker="o", capsize=3, label=f"{name} {rows}")
        axes.set(xticks=range(len(order)), xticklabels=order, xlabel=columns, ylabel=score)
        axes.legend()
    axes.grid(alpha=0.3)
    return _render(figure)


def _figure(width_in: float, height_in: float) -> "Figure":
    with needs("plots", "a chart"):
        from matplotlib.figure import Figure
    return Figure(figsize=(width_in, height_in), dpi=120, layout="constrained")


def _render(figure: "Figure") -> ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
