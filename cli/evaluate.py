"""``autolink-gen evaluate``: a graph against landmarks, a GAN against pictures, a transfer network against clips."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolink_gen.cli.evaluate_landmarks import (
    evaluate_landmarks,
    few_shot_counts,
    few_shot_scores,
    note_trained_on,
    write_regressor,
)
from autolink_gen.cli.evaluate_leak import leak_scores
from autolink_gen.cli.evaluation_files import EvaluationFiles, graphs_beside
from autolink_gen.cli.options import echo, overwrite_option, pick_device
from autolink_gen.cli.shared import check_own_data, run_settings
from autolink_gen.common.progress import progress_bar
from autolink_gen.data.identity import public_data

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import Dataset

    from autolink_gen.evaluation.puppets import PuppetResults
    from autolink_gen.evaluation.showcase import Predictions
    from autolink_gen.models.autolink import AutoLink

_PATH = click.Path(path_type=Path)
_FILE = click.Path(path_type=Path, dir_okay=False)
_TABLE_OPTIONS = ("data_root", "landmarks", "fit_data", "fit_landmarks", "protocol", "hold_out")
_LANDMARK_OPTIONS = ("landmarks", "fit_data", "fit_landmarks", "protocol", "few_shot", "regressor", "hold_out")
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_VIDEO_SUFFIXES = (".mp4", ".gif", ".mov")


@click.command()
@click.argument("run", required=False)
@click.option("--gan", "gan_run", metavar="RUN", help="Score this GAN run, by name or folder, and not a graph.")
@click.option("--transfer", "transfer_run", metavar="RUN", help="Score this transfer run, and not a graph.")
@click.option("--fid-weights", type=_FILE, help="InceptionV3's weights, with which --gan also gives FID and KID.")
@click.option("--witness", metavar="RUN", help="Graph run, other than --gan's own, that also judges its structure.")
@click.option("--data", help="A named data set, a folder of test pictures, or puppets. [default: those trained on]")
@click.option("--data-root", type=_PATH, help="The folder where named data sets lie.")
@click.option("--landmarks", type=_FILE, help="Table of test landmarks. [default: the one beside the pictures]")
@click.option("--fit-data", type=_PATH, help="Pictures to fit the regression on. [default: the train split]")
@click.option("--fit-landmarks", type=_FILE, help="Table of their landmarks. [default: the one beside them]")
@click.option("--protocol", help="faces68, celeba_wild, cub ... [default: the set's, or by the number of landmarks]")
@click.option("--hold-out", type=click.IntRange(min=0), metavar="N",
              help="Fit on the training part without every Nth person, test on those; 0: the test part. "
              "[default: 0; without --data the run's]")  # fmt: skip
@click.option("--max-fit", type=click.IntRange(min=2), help="Fit on so many pictures. [default: all; 500 puppets]")
@click.option("--max-test", type=click.IntRange(min=1), help="Test on so many. [default: all; 200 puppets]")
@click.option("--few-shot", metavar="COUNTS", callback=few_shot_counts,
              help="Also fit on so many pictures, several draws each: 1,5,10,50,all.")  # fmt: skip
@click.option("--regressor", type=_FILE, help="Where to write the map from keypoints to landmarks, for detect. "
              "[default: in the run's folder]")  # fmt: skip
@click.option("--json", "json_file", type=_FILE, help="Where to write the scores. [default: in the run's folder]")
@click.option(
    "--picture",
    type=_FILE,
    help="Where to draw the best and worst, a GAN's grid, a transfer's video. [default: in the run's folder]",
)
@overwrite_option
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Pictures at once.")
@click.option("--device", help="cpu, cuda, cuda:1 ... [default: cuda where there is one]")
def evaluate(run: str | None, json_file: Path | None, picture: Path | None, device: str | None, **options: Any) -> None:
    """Score a learned graph against annotated landmarks, which training never sees, or a GAN, or a transfer network.

    A linear map from keypoints to landmarks is fitted on one part of the pictures and scored on the other. Without
    landmarks too, it is measured how well keypoints move with pictures that are shifted, turned and mirrored, and how
    much of the pictures' colours follows from their keypoints alone: the less, the more they are of the pose.
    RUN is a run's name or folder, or its weights; without it the newest run is taken. Files that are there already
    are replaced with --overwrite alone; those in the run's folder also by the same evaluation of the same weights.

    \b
    Examples:
      autolink-gen evaluate
      autolink-gen evaluate faces --data faces68 --data-root ~/data --json scores.json
      autolink-gen evaluate --data photos/test --fit-data photos/train --protocol cub
      autolink-gen evaluate faces --data faces68 --few-shot 1,5,10,50,all
      autolink-gen evaluate faces-hold5 --data faces68 --hold-out 5
      autolink-gen evaluate --gan afhq
      autolink-gen evaluate --transfer voxceleb2
    """
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
    _evaluate_graph(run, options, json_file=json_file, picture=picture, device=device)


def _evaluate_graph(
    run: str | None, options: dict[str, Any], *, json_file: Path | None, picture: Path | None, device: str | None
) -> None:
    from autolink_gen.checkpoints import load_graph_model
    from autolink_gen.ops.divergence import named_as
    from autolink_gen.runs import RunFolder
    from autolink_gen.training.naming import whole_path

    opened = RunFolder.find(run, kind="graph")
    path = opened.path
    echo(f"model: {opened}")
    if options["data"] is None:
        _take_own_data(path, options)
    options["hold_out"] = options["hold_out"] or None
    data = options["data"]
    is_labelled = data == "puppets" or _is_labelled(options)
    endings = {"json": ".json"} | ({"picture": ".png", "regressor": "-regressor.json"} if is_labelled else {})
    given = {"json": json_file, "picture": picture, "regressor": options["regressor"]}
    label = _label(data) + _trial(options)
    named = {**options, "data": whole_path(data)}  # so that the same data are known, however they are typed
    files = EvaluationFiles(path, label, endings=endings, given=given, options=named, with_graphs=True)
    graph = load_graph_model(path, device=pick_device(device))
    with named_as(str(path)):
        pictures = _open(graph, options)
        if data == "puppets":
            scores, predictions = _on_puppets(graph, options, files=files)
        elif is_labelled:
            if options["hold_out"]:
                note_trained_on(path, options)
            scores, predictions = evaluate_landmarks(graph, options, files=files)
        else:
            echo("no landmarks: scored without")
            scores, predictions = _leak(graph, pictures, options), None
        scores["equivariance"] = _equivariance(graph, pictures, options)
    _write_json({"model": str(path), "data": public_data(data), **scores}, files.place("json"))
    if predictions is not None:
        _write_pictures(graph, predictions, files.place("picture"))


def _check_options(run: str | None, picture: Path | None, options: dict[str, Any]) -> None:
    """UsageError where options do not go together, BadParameter for a picture's ending."""
    kinds = {f"--{kind}": options[f"{kind}_run"] for kind in ("gan", "transfer")}
    given = [f"{name} {value}" for name, value in kinds.items() if value is not None]
    if len(given) + (run is not None) > 1:
        raise click.UsageError(f"name one run: {', or '.join([run, *given] if run else given)}")
    if given:
        for name in (*_LANDMARK_OPTIONS, "max_fit"):
            if options[name] is not None:
                raise click.UsageError(f"--{name.replace('_', '-')} is for graphs; leave it out with {given[0]}")
    if options["gan_run"] is None:
        for name in ("witness", "fid_weights"):
            if options[name] is not None:
                raise click.UsageError(f"--{name.replace('_', '-')} is for GANs; give --gan RUN with it")
    endings = _VIDEO_SUFFIXES if options["transfer_run"] is not None else _PICTURE_SUFFIXES
    if picture is not None and picture.suffix.lower() not in endings:
        raise click.BadParameter(f"{picture} must end in {' or '.join(endings[:2])}", param_hint="--picture")


def _take_own_data(path: Path, options: dict[str, Any]) -> None:
    """Evaluate on the data that the run was trained on; puppets where it does not say."""
    settings = run_settings(path, "data")
    options["data"] = settings.get("name", "puppets")
    check_own_data(options["data"], path)
    classes, hold_out = settings.get("classes"), settings.get("hold_out")
    options["classes"] = classes if classes and isinstance(classes, list) else None
    if options["hold_out"] is None and isinstance(hold_out, int):
        options["hold_out"] = hold_out
    if options["data"] != "puppets" and options["data_root"] is None and settings.get("root"):
        options["data_root"] = Path(settings["root"])


def _label(data: str) -> str:
    """What to call the outputs: the data set's name, or the folder's and that of the one above."""
    from autolink_gen.data.shards.names import shards_label
    from autolink_gen.data.source import has_shards, own_path

    if has_shards(data):
        return "-".join(shards_label(data))
    own = own_path(data)
    parts = own.resolve().parts[-2:] if own is not None else Path(data).parts
    return "-".join(part.strip("/\\:.") for part in parts)


def _trial(options: dict[str, Any]) -> str:
    """What a trial, on fewer or other pictures, has after its outputs' name: it replaces none of the evaluation."""
    limits = {"hold": options["hold_out"], "fit": options["max_fit"], "test": options["max_test"]}
    return "".join(f"-{part}{limit}" for part, limit in limits.items() if limit is not None)


# ---- without labels ----


def _is_labelled(options: dict[str, Any]) -> bool:
    """Whether the pictures have a table of landmarks, or the options speak of one."""
    from autolink_gen.data.landmarks import landmark_places
    from autolink_gen.data.source import find_pictures, has_shards, parts_of

    if any(options[name] is not None for name in _LANDMARK_OPTIONS):
        return True
    if len(parts_of(options["data"])) > 1 or has_shards(options["data"]):
        return False
    folder = find_pictures(options["data"], root=options["data_root"], split="test")
    return any(place.is_file() for place in landmark_places(folder))


def _open(graph: "AutoLink", options: dict[str, Any]) -> "Dataset[Tensor]":
    """The pictures to test on, as the graph was trained to see them."""
    from autolink_gen.data.held_out import open_persons
    from autolink_gen.data.source import open_dataset

    data, given = options["data"], {"root": options["data_root"], "classes": options.get("classes") or ()}
    given |= {"image_size": graph.config.input_size, "fit": graph.config.fit}
    if options["hold_out"] and data != "puppets":
        return open_persons(data, every=options["hold_out"], held_out=True, **given)
    return open_dataset(data, split="test", **given)


def _leak(graph: "AutoLink", pictures: "Dataset[Tensor]", options: dict[str, Any]) -> dict[str, Any]:
    """Print what keypoints tell of the appearance of pictures without landmarks; the numbers for the JSON."""
    from autolink_gen.evaluation.leak import MAX_PICTURES
    from autolink_gen.evaluation.seen import see_pictures

    count = min(MAX_PICTURES, options["max_test"] or MAX_PICTURES)
    given = {"max_pictures": count, "batch_size": options["batch_size"], "progress": progress_bar}
    return leak_scores(see_pictures(graph, pictures, data=options["data"], **given))


def _equivariance(graph: "AutoLink", pictures: "Dataset[Tensor]", options: dict[str, Any]) -> dict[str, Any]:
    """Print how well keypoints move with the pictures; the numbers for the JSON."""
    from dataclasses import asdict

    from autolink_gen.evaluation.equivariance import MAX_PICTURES, equivariance

    count = min(MAX_PICTURES, options["max_test"] or MAX_PICTURES)
    found = equivariance(graph, pictures, max_pictures=count, batch_size=options["batch_size"], progress=progress_bar)
    echo(
        f"keypoints of {found.num_pictures} moved pictures, off in % of the width: shifted "
        f"{found.shifted_percent:.1f}, turned {found.turned_percent:.1f}, mirrored {found.mirrored_percent:.1f} "
        f"(another picture's {found.unrelated_percent:.1f})"
    )
    return asdict(found)


# ---- puppets ----


def _on_puppets(
    graph: "AutoLink", options: dict[str, Any], *, files: EvaluationFiles
) -> tuple[dict[str, Any], "Predictions"]:
    from dataclasses import asdict, replace

    from autolink_gen.data.puppets.dataset import JOINT_NAMES
    from autolink_gen.evaluation.puppets import compare, evaluate_puppets, untrained_like
    from autolink_gen.evaluation.seen import see_puppets
    from autolink_gen.evaluation.showcase import from_normalised

    for name in _TABLE_OPTIONS:
        if options[name] is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} is for pictures on disk; leave it out with puppets")
    numbers = {"num_fit": options["max_fit"], "num_test": options["max_test"]}
    given = {name: number for name, number in numbers.items() if number is not None}
    learned, untrained = (
        evaluate_puppets(model, batch_size=options["batch_size"], progress=progress_bar, **given)
        for model in (graph, untrained_like(graph))
    )
    for line in compare(learned.scores, untrained.scores):
        echo(line)
    values = {**asdict(learned.scores), "untrained": asdict(untrained.scores)}
    values |= leak_scores(see_puppets(learned.fit, learned.test))
    size = graph.config.input_size
    fit, test = (replace(part, true=from_normalised(part.true, size=size)) for part in (learned.fit, learned.test))
    values |= few_shot_scores(fit, test, options["few_shot"], by_eyes=False)
    write_regressor(graph, fit, names=tuple(JOINT_NAMES), file=files.place("regressor"))
    return values, _puppet_predictions(learned)


def _puppet_predictions(results: "PuppetResults") -> "Predictions":
    import numpy as np

    from autolink_gen.evaluation.showcase import Predictions, from_normalised

    size = results.samples[0].picture.shape[0]
    joints = np.stack([sample.joints for sample in results.samples]).astype(np.float64)
    distances = np.linalg.norm(results.predicted_joints - joints, axis=-1)
    return Predictions(
        picture=lambda index: results.samples[index].picture,
        keypoints=results.test.detected,
        predicted=from_normalised(results.predicted_joints, size=size),
        true=from_normalised(joints, size=size),
        visible=np.ones(joints.shape[:2], dtype=bool),
        errors_percent=distances.mean(axis=1) / 2 * 100,
    )


# ---- what is written ----


def _write_json(values: dict[str, Any], file: Path) -> None:
    from autolink_gen.common.files import write_text_atomically

    write_text_atomically(file, json.dumps(values, indent=2) + "\n")
    echo(f"wrote {file}: the scores")


def _write_pictures(graph: "AutoLink", predictions: "Predictions", file: Path) -> None:
    from autolink_gen.common.files import write_picture
    from autolink_gen.evaluation.showcase import best_and_worst, spread_graphs

    write_picture(file, best_and_worst(predictions, graph.edge_weights))
    echo(f"wrote {file}: the best and the worst (green: true, red: predicted), and their graphs")
    graphs = graphs_beside(file)
    write_picture(graphs, spread_graphs(predictions, graph.edge_weights))
    echo(f"wrote {graphs}: the graph on an even choice of the test pictures")
