"""A single lower-is-better score for comparing graph runs."""

import logging

from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.data.landmarks import find_landmarks_csv
from autolink_gen.data.sources.base import Source
from autolink_gen.data.sources.puppets import PuppetSource
from autolink_gen.evaluation.landmarks import Annotations
from autolink_gen.evaluation.puppets import evaluate_puppets
from autolink_gen.evaluation.report import IN_TABLES, default_protocol, report_landmarks
from autolink_gen.evaluation.splits import annotate, check_alike, find_folders, overlap, read_split
from autolink_gen.models.autolink import AutoLink

_logger = logging.getLogger(__name__)


def check_scorable(source: Source) -> None:
    """ValueError for images without landmarks, which :func:`score_graph` cannot score."""
    if not isinstance(source, PuppetSource):
        for folder in find_folders(source):
            find_landmarks_csv(folder)


def score_graph(graph: AutoLink, source: Source, *, progress: Progress = no_progress) -> tuple[str, float]:
    """The score's name and value: the joint error of puppets, else the landmark error, in %.

    Raises ValueError for images without landmarks.
    """
    if isinstance(source, PuppetSource):
        return "joint error, % of the width", evaluate_puppets(graph, progress=progress).scores.joint_error_percent
    fit, test = _annotate_splits(graph, source, progress)
    report = report_landmarks(fit, test, protocol=default_protocol(source.text, test.true.shape[1]))
    name = "NME, % of the eye distance" if report.by_eyes else "mean distance, % of the width"
    return name, report.error_percent


def published_score(graph: AutoLink, source: Source, *, progress: Progress = no_progress) -> tuple[str, float]:
    """The name and value of the paper's score (Tables 1 and 2): the set's own protocol.

    Raises ValueError for images without landmarks.
    """
    if isinstance(source, PuppetSource):
        return score_graph(graph, source, progress=progress)
    fit, test = _annotate_splits(graph, source, progress)
    protocol = default_protocol(source.text, test.true.shape[1])
    name, scale = IN_TABLES[protocol]
    return name, scale * report_landmarks(fit, test, protocol=protocol).score


def _annotate_splits(graph: AutoLink, source: Source, progress: Progress) -> tuple[Annotations, Annotations]:
    splits = [read_split(folder) for folder in find_folders(source)]
    check_alike(*splits)
    if number := overlap(*splits):
        _logger.warning("%d of the %d test images are fitted on as well: the score flatters", number, len(splits[1]))
    fit, test = (annotate(graph, split, progress=progress) for split in splits)
    return fit, test
