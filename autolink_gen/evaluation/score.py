"""One number for a learned graph, the less the better: for comparing runs."""

from pathlib import Path

from autolink_gen.data.landmarks import find_landmarks_csv
from autolink_gen.evaluation.parts import annotate, find_folders, read_part
from autolink_gen.evaluation.puppets import evaluate_puppets
from autolink_gen.evaluation.report import default_protocol, report_landmarks
from autolink_gen.models.autolink import AutoLink
from autolink_gen.progress import Progress, no_progress


def check_scorable(data: str, *, root: Path | None = None) -> None:
    """ValueError for pictures that :func:`score_graph` cannot score, as there are no landmarks."""
    if data != "puppets":
        for folder in find_folders(data, root=root):
            find_landmarks_csv(folder)


def score_graph(
    graph: AutoLink, data: str, *, root: Path | None = None, progress: Progress = no_progress
) -> tuple[str, float]:
    """What the number is, and the number: the joint error of puppets, or the error of landmarks, in percent.

    Raises ValueError for pictures without landmarks.
    """
    if data == "puppets":
        return "joint error, % of the width", evaluate_puppets(graph, progress=progress).scores.joint_error_percent
    parts = [read_part(folder) for folder in find_folders(data, root=root)]
    fit, test = (annotate(graph, part, progress=progress) for part in parts)
    report = report_landmarks(fit, test, protocol=default_protocol(data, test.true.shape[1]))
    name = "NME, % of the eye distance" if report.by_eyes else "mean distance, % of the width"
    return name, report.error_percent
