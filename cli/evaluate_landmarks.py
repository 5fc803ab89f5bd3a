"""``autolink-gen evaluate RUN``: a graph against landmarks, and what few labelled pictures are enough for."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolink_gen.cli.evaluate_leak import leak_scores
from autolink_gen.cli.evaluation_files import EvaluationFiles
from autolink_gen.cli.options import echo
from autolink_gen.cli.shared import run_settings
from autolink_gen.common.progress import progress_bar
from autolink_gen.common.text import counted

if TYPE_CHECKING:
    from autolink_gen.evaluation.few_shot import FewShotScore
    from autolink_gen.evaluation.landmarks import Annotations
    from autolink_gen.evaluation.report import LandmarkReport
    from autolink_gen.evaluation.showcase import Predictions
    from autolink_gen.evaluation.splits import Part
    from autolink_gen.models.autolink import AutoLink

_PER_LINE = 12


def few_shot_counts(ctx: click.Context, param: click.Parameter, value: str | None) -> list[int | None] | None:
    """The numbers in "1,5,10,all", None for all; BadParameter for anything else."""
    if value is None:
        return None
    words = [word.strip() for word in value.split(",")]
    if not all(word == "all" or (word.isdigit() and int(word) > 0) for word in words):
        raise click.BadParameter(f"{value!r} must be numbers of pictures from 1 on, or all, as in 1,5,10,50,all")
    return [None if word == "all" else int(word) for word in words]


def evaluate_landmarks(
    graph: "AutoLink", options: dict[str, Any], *, files: EvaluationFiles
) -> tuple[dict[str, Any], "Predictions"]:
    """Print the scores of a graph on annotated pictures, and write the map to landmarks; scores and predictions."""
    from autolink_gen.evaluation.report import check_protocol, default_protocol, report_landmarks
    from autolink_gen.evaluation.seen import see_annotated
    from autolink_gen.evaluation.splits import annotate, check_alike, overlap
    from autolink_gen.inference.landmark_regressor import landmark_names

    parts = dict(zip(("fit", "test"), _read_parts(options), strict=True))
    for name, part in parts.items():
        echo(f"{name}: {counted(len(part), 'picture')} of {part.folder}, landmarks of {part.table_path}")
    check_alike(parts["fit"], parts["test"])
    num_landmarks = parts["test"].table.points.shape[1]
    protocol = options["protocol"] or default_protocol(options["data"], num_landmarks)
    check_protocol(protocol, num_landmarks, names=parts["test"].table.names)
    if num_fitted := overlap(parts["fit"], parts["test"]):
        echo(
            f"note: {num_fitted} of the {counted(len(parts['test']), 'test picture')} are fitted on as well: the "
            f"scores are better than those of pictures not seen; give other test pictures"
        )
    num_keypoints = graph.config.num_keypoints
    if len(parts["fit"]) < 4 * num_keypoints:
        echo(f"that is few to fit {num_keypoints} keypoints on: do not trust the scores")
    fit, test = (
        annotate(graph, part, batch_size=options["batch_size"], label=name, progress=progress_bar)
        for name, part in parts.items()
    )
    report = report_landmarks(fit, test, protocol=protocol)
    own_names = parts["fit"].table.names
    for line in _landmark_lines(report, own_names):
        echo(line)
    scores = {**report.to_dict(), "num_test_fitted": num_fitted, **leak_scores(see_annotated(parts["test"], test))}
    names = own_names or landmark_names(fit.true.shape[1])
    scores |= few_shot_scores(fit, test, options["few_shot"], by_eyes=report.by_eyes)
    write_regressor(graph, fit, names=names, file=files.place("regressor"))
    return scores, _landmark_predictions(parts["test"], fit, test, report)


def _read_parts(options: dict[str, Any]) -> "tuple[Part, Part]":
    """The pictures to fit on and those to test on; UsageError for options that --hold-out does not go with."""
    from autolink_gen.evaluation.splits import OnePartError, find_folders, read_held_out, read_part

    limits = {"fit_limit": options["max_fit"], "test_limit": options["max_test"]}
    if options["hold_out"]:
        for name in ("landmarks", "fit_data", "fit_landmarks"):
            if options[name] is not None:
                raise click.UsageError(f"--hold-out parts the training pictures: leave --{name.replace('_', '-')} out")
        return read_held_out(options["data"], root=options["data_root"], every=options["hold_out"], **limits)
    try:
        fit_folder, test_folder = find_folders(options["data"], root=options["data_root"], fit_data=options["fit_data"])
    except OnePartError as error:
        raise OnePartError(
            f"{error}, or give --fit-data DIR, pictures with landmarks to fit the regression on"
        ) from error
    return (
        read_part(fit_folder, landmarks=options["fit_landmarks"], limit=options["max_fit"]),
        read_part(test_folder, landmarks=options["landmarks"], limit=options["max_test"]),
    )


def note_trained_on(run: Path, options: dict[str, Any]) -> None:
    """Say how many pictures of the persons that --hold-out measures on were trained on, wherever they lay then."""
    from autolink_gen.data.held_out import training_files
    from autolink_gen.evaluation.splits import read_held_out

    settings, every = run_settings(run if run.is_dir() else run.parent, "data"), options["hold_out"]
    if not settings.get("name"):
        echo("note: nothing says whether the run was trained on the persons that are measured")
        return
    root = Path(settings["root"]) if settings.get("root") else options["data_root"]
    own = settings.get("hold_out")
    trained = training_files(str(settings["name"]), root=root, every=own if isinstance(own, int) else 0)
    test = read_held_out(options["data"], root=options["data_root"], every=every)[1]
    number = sum((str(path.relative_to(test.folder)), path.stat().st_size) in trained for path in test.paths)
    if number:
        echo(
            f"note: {number} of the {counted(len(test), 'picture')} of persons held out were trained on: the scores "
            f"are better than those of persons not seen; train with --hold-out {every}"
        )


def few_shot_scores(
    fit: "Annotations", test: "Annotations", counts: list[int | None] | None, *, by_eyes: bool
) -> dict[str, Any]:
    """Print how good landmarks, in [0, 1], become on so many pictures; the numbers for the JSON, or none asked for."""
    from dataclasses import asdict

    from autolink_gen.evaluation.few_shot import few_shot

    if counts is None:
        return {}
    if too_many := [count for count in counts if count and count > len(fit.true)]:
        echo(f"few-shot: {', '.join(map(str, too_many))} are more than the {len(fit.true)} pictures to fit on")
    numbers = [len(fit.true) if count is None else count for count in counts]
    found = few_shot(fit, test, numbers, by_eyes=by_eyes, progress=progress_bar)
    length = "eye distance" if by_eyes else "picture's width"
    echo(
        f"landmarks by a map for few labelled pictures (ridge), as --regressor has it, mean error in % of the {length} "
        f"± deviation over draws:"
    )
    for score in found:
        echo(f"  {_few_shot_line(score)}")
    return {"few_shot": [asdict(score) for score in found]}


def _few_shot_line(score: "FewShotScore") -> str:
    pictures = f"{counted(score.num_pictures, 'picture'):<14}{score.mean_percent:6.2f}"
    return f"{pictures} ± {score.deviation_percent:.2f} ({score.draws} draws)" if score.draws > 1 else pictures


def write_regressor(graph: "AutoLink", fit: "Annotations", *, names: tuple[str, ...], file: Path) -> None:
    """Write the map from keypoints to named landmarks, fitted on a part whose landmarks are in [0, 1]."""
    from autolink_gen.evaluation.few_shot import fitted_regressor
    from autolink_gen.inference.landmark_regressor import graph_mark

    fitted_regressor(fit, names=names, graph=graph_mark(graph.edge_weights)).save(file)
    echo(f"wrote {file}: landmarks from keypoints, for autolink-gen detect --regressor")


def _landmark_lines(report: "LandmarkReport", names: Sequence[str] | None) -> list[str]:
    """What is printed of a report; landmarks by their ``names`` where they have some."""
    from autolink_gen.evaluation.report import FACE_PARTS, IN_TABLES

    what, scale = IN_TABLES[report.protocol]
    name, length = ("NME", "eye distance") if report.by_eyes else ("mean distance", "picture's width")
    mean_pose = f"mean pose {report.error_mean_pose_percent:.1f} %"
    mean_error = f"{name}: {report.error_percent:.2f} % of the {length} ({mean_pose})"
    lines = [
        f"protocol {report.protocol}, {what}: {scale * report.score:.2f} "
        f"(mean pose {scale * report.score_mean_pose:.2f})",
        *([] if math.isclose(scale * report.score, report.error_percent) else [mean_error]),
        f"PCK@{report.pck_threshold:g} of the {length}: {report.pck_percent:.1f} %",
        f"mean absolute error of a coordinate: {report.mae_percent:.2f} % of the picture's size",
        f"{name} of each landmark, in %:",
    ]
    errors = report.per_landmark_percent
    for (part, first, last), mean in zip(FACE_PARTS, report.parts_percent(), strict=False):
        lines.append(f"  {part} {first}-{last}, mean {mean:.1f}: {_row(errors[first : last + 1])}")
    if report.parts_percent():
        return lines
    if names:
        return lines + [f"  {landmark}: {error:.1f}" for landmark, error in zip(names, errors, strict=True)]
    starts = range(0, len(errors), _PER_LINE)
    return lines + [f"  from {start}: {_row(errors[start : start + _PER_LINE])}" for start in starts]


def _row(errors: Sequence[float]) -> str:
    return " ".join(f"{error:.1f}" for error in errors)


def _landmark_predictions(
    part: "Part", fit: "Annotations", test: "Annotations", report: "LandmarkReport"
) -> "Predictions":
    from autolink_gen.evaluation.landmarks import labelled_landmarks, predict
    from autolink_gen.evaluation.report import landmark_errors, picture_errors
    from autolink_gen.evaluation.showcase import Predictions

    predicted = predict(fit, test)
    errors = landmark_errors(predicted, test, by_eyes=report.by_eyes)
    return Predictions(
        picture=part.picture,
        keypoints=test.detected,
        predicted=predicted,
        true=test.true,
        visible=labelled_landmarks(test),
        errors_percent=picture_errors(errors) * 100,
    )
