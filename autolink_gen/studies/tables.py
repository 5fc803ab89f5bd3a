"""Tables of scores in Markdown: ablations and benchmarks in the paper's form."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from autolink_gen.common.text import printable
from autolink_gen.data.published.sets import PublishedScore
from autolink_gen.studies.ablations import Ablation
from autolink_gen.studies.jobs import Outcome

Score = tuple[float, float]  # mean and standard deviation over seeds


def summarise(results: Mapping[str, Sequence[float]]) -> dict[str, Score]:
    """Mean and standard deviation over seeds of each cell's scores, by label; cells without one are left out."""
    return {label: (float(np.mean(values)), float(np.std(values))) for label, values in results.items() if values}


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
    data: str, num_keypoints: int, results: Mapping[str, Outcome], published: PublishedScore | None
) -> str:
    """The seeds' scores, their mean and deviation, beside the published score."""
    values = [outcome.score for outcome in results.values()]
    mean = _written((float(np.mean(values)), float(np.std(values))), len(values))
    theirs = [published.same_thickness, published.tuned] if published else [None, None]
    same, tuned = ("-" if value is None else f"{value:g}" for value in theirs)
    seeds = ", ".join(f"{to_markdown(name)} {value:.2f}" for name, value in zip(results, values, strict=True))
    return (
        f"{to_markdown(data)}, {num_keypoints} keypoints: {to_markdown(metric_of(results.values()))}\n\n"
        f"| here, {len(values)} {'seed' if len(values) == 1 else 'seeds'} | AutoLink, one thickness for all sets | "
        f"AutoLink, thickness tuned |\n|---|---|---|\n| {mean} | {same} | {tuned} |\n\n{seeds}\n"
    )


def metric_of(outcomes: Iterable[Outcome]) -> str:
    """The metric of the scores; empty where every run diverged."""
    return next((outcome.metric for outcome in outcomes if outcome.metric), "")
