"""The paper's ablations of the graph learner, as settings over one recipe, and tables of them and of benchmarks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autolink_gen.common.text import printable
from autolink_gen.data.published.sets import Figure

Score = tuple[float, float]  # mean and standard deviation over seeds


@dataclass(frozen=True)
class Cell:
    """One place of an ablation's table: its row and column, and the settings that differ from the recipe's."""

    row: str
    column: str
    settings: Mapping[str, Mapping[str, Any]]

    @property
    def label(self) -> str:
        """A name for folders, made of letters, digits, dots and dashes."""
        text = f"{self.row} {self.column}".strip().lower()
        return "-".join("".join(c if c.isalnum() or c == "." else " " for c in text).split())


@dataclass(frozen=True)
class Ablation:
    """What is varied; ``rows`` and ``columns`` say what stands to the left of the table and above it."""

    title: str
    rows: str
    columns: str
    cells: tuple[Cell, ...]


def _variant(name: str, **model: Any) -> Cell:
    return Cell(name, "", {"model": model})


def _grid(title: str, rows: str, columns: str, cells: Sequence[Cell]) -> Ablation:
    return Ablation(title, rows, columns, tuple(cells))


ABLATIONS: dict[str, Ablation] = {
    "variants": _grid(
        "Variants of the method (AutoLink, Table 3)",
        "variant",
        "",
        [
            _variant("full method"),
            _variant("alpha fixed at 1", learn_alpha=False),
            _variant("one learned thickness", learn_sigma2="one"),
            _variant("a learned thickness an edge", learn_sigma2="edge"),
            _variant("a channel an edge", drawing="channels"),
            _variant("keypoints without edges", drawing="points"),
        ],
    ),
    "thickness": _grid(
        "Number of keypoints and thickness of edges (AutoLink, Table 4)",
        "keypoints",
        "sigma2",
        [
            # As thick from the first step to the last: a start that is thicker would blur the comparison.
            Cell(f"{count}", f"{sigma2:g}", {"model": {"num_keypoints": count, "sigma2": sigma2},
                                             "thickness": {"start": None}})
            for count in (4, 8, 16)
            for sigma2 in (5e-4, 2.5e-3, 1e-2)
        ],
    ),
    "masking": _grid(
        "Share of the picture that is masked, and blocks to a side (AutoLink, Table 5)",
        "blocks to a side",
        "share masked",
        [
            Cell(f"{blocks}", f"{ratio:g}", {"model": {"mask_grid": blocks, "mask_ratio": ratio}})
            for blocks in (4, 8, 16, 32)
            for ratio in (0.5, 0.8, 0.9, 0.97)
        ],
    ),
}  # fmt: skip


def summarise(results: Mapping[str, Sequence[float]]) -> dict[str, Score]:
    """Mean and standard deviation over seeds of each cell's scores, by label; cells without one are left out."""
    return {label: (float(np.mean(found)), float(np.std(found))) for label, found in results.items() if found}


def markdown_table(ablation: Ablation, scores: Mapping[str, Score], *, score: str, seeds: int) -> str:
    """The ablation in the paper's form: a row a variant, or rows by columns; cells that are not done have a dash."""
    rows = list(dict.fromkeys(cell.row for cell in ablation.cells))
    columns = list(dict.fromkeys(cell.column for cell in ablation.cells))
    places = {(cell.row, cell.column): cell.label for cell in ablation.cells}
    heads = [f"{ablation.columns} {column}" if column else to_markdown(score) for column in columns]
    lines = [
        f"{ablation.title}: {to_markdown(score)}{f', mean ± deviation over {seeds} seeds' if seeds > 1 else ''}",
        "",
        f"| {' | '.join([ablation.rows, *heads])} |",
        f"|{'---|' * (len(columns) + 1)}",
    ]
    for row in rows:
        cells = [_written(scores.get(places.get((row, column), "")), seeds) for column in columns]
        lines.append(f"| {' | '.join([row, *cells])} |")
    return "\n".join(lines) + "\n"


def to_markdown(text: str) -> str:
    """Text as Markdown shows it in a table or beside one: on one line, its bars and angle brackets no marks."""
    return printable(text).replace("|", "\\|").replace("<", "&lt;")


def _written(score: Score | None, seeds: int) -> str:
    if score is None or not math.isfinite(score[0]):
        return "-"
    return f"{score[0]:.2f} ± {score[1]:.2f}" if seeds > 1 else f"{score[0]:.2f}"


def benchmark_table(
    data: str, num_keypoints: int, results: Mapping[str, Mapping[str, float]], published: Figure | None
) -> str:
    """What the seeds gave, by their names, their mean and deviation, and the published figure beside it.

    The first value of each result is its score.
    """
    score = next(iter(next(iter(results.values()))))
    values = [result[score] for result in results.values()]
    mean = f"{np.mean(values):.2f}" + (f" ± {np.std(values):.2f}" if len(values) > 1 else "")
    theirs = [published.same_thickness, published.tuned] if published else [None, None]
    same, tuned = ("-" if value is None else f"{value:g}" for value in theirs)
    seeds = ", ".join(f"{to_markdown(name)} {value:.2f}" for name, value in zip(results, values, strict=True))
    return (
        f"{to_markdown(data)}, {num_keypoints} keypoints: {to_markdown(score)}\n\n"
        f"| here, {len(values)} {'seed' if len(values) == 1 else 'seeds'} | AutoLink, one thickness for all sets | "
        f"AutoLink, thickness tuned |\n|---|---|---|\n| {mean} | {same} | {tuned} |\n\n{seeds}\n"
    )
