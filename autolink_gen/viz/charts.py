"""Charts of a run: the edge matrix, and curves over the steps; uint8 arrays out, no files."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = UInt8[ndarray, "_ _ 3"]  # height, width, RGB
Weights = Float[ndarray, "K K"] | Float[Tensor, "K K"]


def edge_matrix_figure(edge_weights: Weights) -> Picture:
    """Draw the symmetric edge weights, each divided by the largest, as a heat map over pairs of keypoints."""
    values = edge_weights.detach().cpu().numpy() if isinstance(edge_weights, Tensor) else edge_weights
    weights = np.asarray(values, dtype=np.float64)
    largest = float(weights.max(initial=0.0))
    side = min(12.0, max(4.5, 2.5 + 0.22 * len(weights)))
    figure = _figure(side, side * 0.86)
    axes = figure.add_subplot()
    image = axes.imshow(weights / largest if largest > 0 else weights, vmin=0, vmax=1, cmap="magma")
    figure.colorbar(image, ax=axes, label=f"weight / largest weight ({largest:.3g})", shrink=0.85)
    ticks = range(0, len(weights), 1 + len(weights) // 20)
    axes.set(xticks=ticks, yticks=ticks, xlabel="keypoint", ylabel="keypoint", title="Edge weights")
    return _rendered(figure)


def distance_curve(rows: Sequence[Mapping[str, Any]], *, key: str, marks: Mapping[str, float]) -> Picture:
    """Draw one number over the steps on a logarithmic scale, and levels to compare it with."""
    figure = _figure(7.0, 4.0)
    axes = figure.add_subplot()
    axes.plot([row["step"] for row in rows], [row[key] for row in rows], marker="o", color="tab:blue", label=key)
    for index, (name, value) in enumerate(marks.items()):
        axes.axhline(value, color=f"C{index + 1}", linestyle="--", label=f"{name}: {value:.4g}")
    axes.set(xlabel="step", ylabel=key, yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    return _rendered(figure)


def grid_chart(
    places: Sequence[tuple[str, str, tuple[float, float] | None]], *, rows: str, columns: str, score: str
) -> Picture:
    """Draw an ablation: bars of its rows, or, where there are columns, a line over them for each row.

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
            at, means, deviations = zip(*line, strict=True)
            axes.errorbar(at, means, yerr=deviations, marker="o", capsize=3, label=f"{name} {rows}")
        axes.set(xticks=range(len(order)), xticklabels=order, xlabel=columns, ylabel=score)
        axes.legend()
    axes.grid(alpha=0.3)
    return _rendered(figure)


def _figure(width_in: float, height_in: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), dpi=120, layout="constrained")


def _rendered(figure: "Figure") -> ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
