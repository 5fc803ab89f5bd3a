"""``autolink-gen evaluate``: a graph against landmarks, a GAN against pictures, a transfer network against clips."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolink_gen.cli.shared import pick_device, progress_bar, run_settings

if TYPE_CHECKING:
    from autolink_gen.evaluation.landmarks import Annotations
    from autolink_gen.evaluation.parts import Part
    from autolink_gen.evaluation.puppets import PuppetResults
    from autolink_gen.evaluation.report import LandmarkReport
    from autolink_gen.evaluation.showcase import Predictions
    from autolink_gen.models.autolink import AutoLink

_PATH = click.Path(path_type=Path)
_FILE = click.Path(path_type=Path, dir_okay=False)
_LANDMARK_OPTIONS = ("data_root", "landmarks", "fit_data", "fit_landmarks", "protocol")
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_VIDEO_SUFFIXES = (".mp4", ".gif", ".mov")
_PER_LINE = 12


@click.command()
@click.argument("run", required=False)
@click.option("--gan", "gan_run", metavar="RUN", help="Score this GAN run, by name or folder, and not a graph.")
@click.option("--transfer", "transfer_run", metavar="RUN", help="Score this transfer run, and not a graph.")
@click.option("--fid-weights", type=_FILE, help="InceptionV3's weights, with which --gan also gives FID and KID.")
@click.option("--witness", metavar="RUN", help="Graph run, other than --gan's own, that also judges its structure.")
@click.option("--data", help="faces68, puppets, or a folder of test pictures. [default: puppets if trained on them]")
@click.option("--data-root", type=_PATH, help="The folder where named data sets lie.")
@click.option("--landmarks", type=_FILE, help="Table of test landmarks. [default: the one beside the pictures]")
@click.option("--fit-data", type=_PATH, help="Pictures to fit the regression on. [default: the train split]")
@click.option("--fit-landmarks", type=_FILE, help="Table of their landmarks. [default: the one beside them]")
@click.option("--protocol", help="faces68, celeba_wild, cub ... [default: by the number of landmarks]")
@click.option("--max-fit", type=click.IntRange(min=2), help="Fit on so many pictures. [default: all; 500 puppets]")
@click.option("--max-test", type=click.IntRange(min=1), help="Test on so many. [default: all; 200 puppets]")
@click.option("--json", "json_file", type=_FILE, help="Where to write the scores. [default: in the run's folder]")
@click.option(
    "--picture",
    type=_FILE,
    help="Where to draw the best and worst, a GAN's grid, a transfer's video. [default: in the run's folder]",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Pictures at once.")
@click.option("--device", help="cpu, cuda, cuda:1 ... [default: cuda where there is one]")
def evaluate(run: str | None, json_file: Path | None, picture: Path | None, device: str | None, **options: Any) -> None:
    """Score a learned graph against annotated landmarks, which training never sees, or a GAN, or a transfer network.

    A linear map from keypoints to landmarks is fitted on one part of the pictures and scored on the other.
    RUN is a run's name or folder, or its weights; without it the newest run is taken.

    \b
    Examples:
      autolink-gen evaluate
      autolink-gen evaluate faces --data faces68 --data-root ~/data --json scores.json
      autolink-gen evaluate --data photos/test --fit-data photos/train --protocol cub
      autolink-gen evaluate --gan afhq
      autolink-gen evaluate --transfer voxceleb2
    """
    from autolink_gen.checkpoints import find_run, load_graph_model

    _check_options(run, picture, options)
    if options["gan_run"] is not None:
        from autolink_gen.cli.evaluate_gan import evaluate_gan_run

        evaluate_gan_run(options["gan_run"], options=options, json_file=json_file, picture=picture, device=device)
        return
    if options["transfer_run"] is not None:
        from autolink_gen.cli.evaluate_transfer import evaluate_transfer_run

        evaluate_transfer_run(
            options["transfer_run"], options=options, json_file=json_file, video=picture, device=device
        )
        return
    path = find_run("graph", run)
    click.echo(f"model: {path}" + ("" if run else " (the newest run)"))
    graph = load_graph_model(path, device=pick_device(device))
    options["data"] = data = options["data"] or _default_data(path)
    scores, predictions = _on_puppets(graph, options) if data == "puppets" else _on_landmarks(graph, options)
    folder, label = (path if path.is_dir() else path.parent) / "evaluation", _label(data)
    _write_json({"model": str(path), "data": data, **scores}, json_file or folder / f"{label}.json")
    _write_pictures(graph, predictions, picture or folder / f"{label}.png")


def _check_options(run: str | None, picture: Path | None, options: dict[str, Any]) -> None:
    """UsageError where options do not go together, BadParameter for a picture's ending."""
    kinds = {f"--{kind}": options[f"{kind}_run"] for kind in ("gan", "transfer")}
    given = [f"{name} {value}" for name, value in kinds.items() if value is not None]
    if len(given) + (run is not None) > 1:
        raise click.UsageError(f"name one run: {', or '.join([run, *given] if run else given)}")
    if given:
        for name in ("landmarks", "fit_data", "fit_landmarks", "protocol", "max_fit"):
            if options[name] is not None:
                raise click.UsageError(f"--{name.replace('_', '-')} is for graphs; leave it out with {given[0]}")
    if options["gan_run"] is None:
        for name in ("witness", "fid_weights"):
            if options[name] is not None:
                raise click.UsageError(f"--{name.replace('_', '-')} is for GANs; give --gan RUN with it")
    endings = _VIDEO_SUFFIXES if options["transfer_run"] is not None else _PICTURE_SUFFIXES
    if picture is not None and picture.suffix.lower() not in endings:
        raise click.BadParameter(f"{picture} must end in {' or '.join(endings[:2])}", param_hint="--picture")


def _default_data(path: Path) -> str:
    """Puppets, unless the run says that it learned something else."""
    trained_on = run_settings(path, "data").get("name", "puppets")
    if trained_on != "puppets":
        raise click.UsageError(f"the run was trained on {trained_on}; give --data, pictures with landmarks")
    return "puppets"


def _label(data: str) -> str:
    """What to call the outputs: the data set's name, or the folder's and that of the one above."""
    path = Path(data).expanduser()
    parts = path.resolve().parts[-2:] if path.is_dir() else path.parts
    return "-".join(part.strip("/\\:.") for part in parts)


# ---- annotated pictures ----


def _on_landmarks(graph: "AutoLink", options: dict[str, Any]) -> tuple[dict[str, Any], "Predictions"]:
    from autolink_gen.evaluation.parts import annotate, find_folders, read_part
    from autolink_gen.evaluation.report import check_protocol, default_protocol, report_landmarks

    fit_folder, test_folder = find_folders(options["data"], root=options["data_root"], fit_data=options["fit_data"])
    parts = {
        "fit": read_part(fit_folder, landmarks=options["fit_landmarks"], limit=options["max_fit"]),
        "test": read_part(test_folder, landmarks=options["landmarks"], limit=options["max_test"]),
    }
    for name, part in parts.items():
        click.echo(f"{name}: {len(part)} pictures of {part.folder}, landmarks of {part.table_path}")
    protocol = options["protocol"] or default_protocol(parts["test"].table.points.shape[1])
    check_protocol(protocol)
    num_keypoints = graph.config.num_keypoints
    if len(parts["fit"]) < 4 * num_keypoints:
        click.echo(f"that is few to fit {num_keypoints} keypoints on: do not trust the scores")
    fit, test = (
        annotate(graph, part, batch_size=options["batch_size"], label=name, progress=progress_bar)
        for name, part in parts.items()
    )
    report = report_landmarks(fit, test, protocol=protocol)
    for line in _landmark_lines(report):
        click.echo(line)
    return report.to_dict(), _landmark_predictions(parts["test"], fit, test, report)


def _landmark_lines(report: "LandmarkReport") -> list[str]:
    from autolink_gen.evaluation.report import FACE_PARTS

    name, length = ("NME", "eye distance") if report.by_eyes else ("mean distance", "picture's width")
    mean_pose = f"mean pose {report.error_mean_pose_percent:.1f} %"
    lines = [
        f"protocol {report.protocol}: {report.score:.6g} (mean pose {report.score_mean_pose:.6g})",
        f"{name}: {report.error_percent:.2f} % of the {length} ({mean_pose})",
        f"PCK@{report.pck_threshold:g} of the {length}: {report.pck_percent:.1f} %",
        f"mean absolute error of a coordinate: {report.mae_percent:.2f} % of the picture's size",
        f"{name} of each landmark, in %:",
    ]
    errors = report.per_landmark_percent
    for (part, first, last), mean in zip(FACE_PARTS, report.parts_percent(), strict=False):
        lines.append(f"  {part} {first}-{last}, mean {mean:.1f}: {_row(errors[first : last + 1])}")
    if report.parts_percent():
        return lines
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


# ---- puppets ----


def _on_puppets(graph: "AutoLink", options: dict[str, Any]) -> tuple[dict[str, Any], "Predictions"]:
    from dataclasses import asdict

    from autolink_gen.evaluation.puppets import compare, evaluate_puppets, untrained_like

    for name in _LANDMARK_OPTIONS:
        if options[name] is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} is for pictures on disk; leave it out with puppets")
    numbers = {"num_fit": options["max_fit"], "num_test": options["max_test"]}
    given = {name: number for name, number in numbers.items() if number is not None}
    learned, untrained = (
        evaluate_puppets(model, batch_size=options["batch_size"], progress=progress_bar, **given)
        for model in (graph, untrained_like(graph))
    )
    for line in compare(learned.scores, untrained.scores):
        click.echo(line)
    values = {**asdict(learned.scores), "untrained": asdict(untrained.scores)}
    return values, _puppet_predictions(learned)


def _puppet_predictions(results: "PuppetResults") -> "Predictions":
    import numpy as np

    from autolink_gen.evaluation.showcase import Predictions, from_normalised

    size = results.samples[0].picture.shape[0]
    joints = np.stack([sample.joints for sample in results.samples]).astype(np.float64)
    distances = np.linalg.norm(results.predicted_joints - joints, axis=-1)
    return Predictions(
        picture=lambda index: results.samples[index].picture,
        keypoints=results.keypoints,
        predicted=from_normalised(results.predicted_joints, size=size),
        true=from_normalised(joints, size=size),
        visible=np.ones(joints.shape[:2], dtype=bool),
        errors_percent=distances.mean(axis=1) / 2 * 100,
    )


# ---- what is written ----


def _write_json(values: dict[str, Any], file: Path) -> None:
    from autolink_gen.files import write_text_atomically

    write_text_atomically(file, json.dumps(values, indent=2) + "\n")
    click.echo(f"wrote {file}: the scores")


def _write_pictures(graph: "AutoLink", predictions: "Predictions", file: Path) -> None:
    from autolink_gen.evaluation.showcase import best_and_worst, spread_graphs
    from autolink_gen.files import write_picture

    write_picture(file, best_and_worst(predictions, graph.edge_weights))
    click.echo(f"wrote {file}: the best and the worst (green: true, red: predicted), and their graphs")
    graphs = file.with_name(f"{file.stem}-graphs{file.suffix}")
    write_picture(graphs, spread_graphs(predictions, graph.edge_weights))
    click.echo(f"wrote {graphs}: the graph on an even choice of the test pictures")
