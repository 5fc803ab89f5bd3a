"""The paper's ablations of the graph learner, as settings over one recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


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
        "Share of the image that is masked, and blocks to a side (AutoLink, Table 5)",
        "blocks to a side",
        "share masked",
        [
            Cell(f"{blocks}", f"{ratio:g}", {"model": {"mask_grid": blocks, "mask_ratio": ratio}})
            for blocks in (4, 8, 16, 32)
            for ratio in (0.5, 0.8, 0.9, 0.97)
        ],
    ),
}  # fmt: skip
