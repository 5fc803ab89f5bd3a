"""What a sweep found, sorted by score: as Markdown, CSV and JSON."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autolink_gen.common.files import write_text_atomically
from autolink_gen.common.text import to_cell
from autolink_gen.studies.sweep_axes import value_text
from autolink_gen.studies.tables import to_markdown

TABLE_NAMES = ("table.md", "table.csv", "table.json")


@dataclass(frozen=True)
class SweepRow:
    """A setting that was tried: its trial's name, the settings by dotted names, a score and a run folder a seed."""

    trial: str
    settings: Mapping[str, Any]
    scores: tuple[float, ...]
    folders: tuple[Path, ...]

    @property
    def mean(self) -> float:
        """The mean score over seeds; NaN where training diverged."""
        return float(np.mean(self.scores))

    @property
    def spread(self) -> float:
        """The standard deviation over seeds; 0 of one seed."""
        return float(np.std(self.scores))


def sort_rows(rows: Sequence[SweepRow]) -> list[SweepRow]:
    """The rows by their scores, the lowest first, those without one last."""
    return sorted(rows, key=lambda row: row.mean if math.isfinite(row.mean) else math.inf)


def write_tables(folder: Path, rows: Sequence[SweepRow], *, metric: str, note: str) -> tuple[str, tuple[Path, ...]]:
    """Write the rows as table.md, table.csv and table.json; the Markdown, and the files.

    ``note`` says below the Markdown what the runs have in common.
    """
    markdown = f"{_markdown(rows, metric)}\n{note}\n"
    files = tuple(folder / name for name in TABLE_NAMES)
    for file, text in zip(files, (markdown, _csv(rows), _json(rows, metric)), strict=True):
        write_text_atomically(file, text, follow_links=False)
    return markdown, files


def _markdown(rows: Sequence[SweepRow], metric: str) -> str:
    names = list(rows[0].settings)
    seeds = len(rows[0].scores)
    title = f"{to_markdown(metric)}, lower is better{f', mean ± deviation over {seeds} seeds' if seeds > 1 else ''}"
    lines = [title, "", f"| {' | '.join(map(to_markdown, names))} | score | trial |", f"|{'---|' * (len(names) + 2)}"]
    for row in rows:
        values = [to_markdown(_short(row.settings[name])) for name in names]
        lines.append(f"| {' | '.join([*values, _score(row)])} | {to_markdown(row.trial)} |")
    return "\n".join(lines) + "\n"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value_text(value)


def _score(row: SweepRow) -> str:
    if not math.isfinite(row.mean):
        return "diverged"
    return f"{row.mean:.2f} ± {row.spread:.2f}" if len(row.scores) > 1 else f"{row.mean:.2f}"


def _csv(rows: Sequence[SweepRow]) -> str:
    names, seeds = list(rows[0].settings), len(rows[0].scores)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*map(to_cell, names), "mean", "spread", *(f"score{number}" for number in range(seeds)), "trial"])
    for row in rows:
        values = [_cell(row.settings[name]) for name in names]
        writer.writerow([*values, row.mean, row.spread, *row.scores, to_cell(row.trial)])
    return text.getvalue()


def _cell(value: Any) -> Any:
    return value if isinstance(value, int | float) else to_cell(value_text(value))


def _json(rows: Sequence[SweepRow], metric: str) -> str:
    rows_as_json = [
        {
            "trial": row.trial,
            "settings": dict(row.settings),
            "mean": _finite(row.mean),
            "spread": _finite(row.spread),
            "scores": [_finite(score) for score in row.scores],
            "runs": [folder.name for folder in row.folders],
        }
        for row in rows
    ]
    return json.dumps({"metric": metric, "rows": rows_as_json}, indent=1) + "\n"


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
