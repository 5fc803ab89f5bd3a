"""Score a graph's run: on annotated images, on puppets, or on images without landmarks."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.checkpoints import load_graph_model
from autolink_gen.common.files import write_image
from autolink_gen.common.progress import Progress
from autolink_gen.common.text import counted
from autolink_gen.data.held_out import open_people
from autolink_gen.data.published.sets import PUPPETS
from autolink_gen.data.puppets.dataset import JOINT_NAMES
from autolink_gen.data.sources.puppets import PuppetSource
from autolink_gen.evaluation import leak
from autolink_gen.evaluation.equivariance import MAX_IMAGES, equivariance
from autolink_gen.evaluation.few_shot import FewShotScore, few_shot, fitted_regressor
from autolink_gen.evaluation.graph_reports import GraphEvaluation
from autolink_gen.evaluation.graph_splits import notes_on_splits, read_splits, trained_on_note
from autolink_gen.evaluation.landmarks import Annotations, labelled_landmarks, predict
from autolink_gen.evaluation.leak_samples import (
    LeakSamples,
    samples_of_annotations,
    samples_of_images,
    samples_of_puppets,
)
from autolink_gen.evaluation.outputs import Outputs, Result, ResultFiles, graphs_beside
from autolink_gen.evaluation.puppets import PuppetResults, PuppetScores, evaluate_puppets, untrained_like
from autolink_gen.evaluation.report import (
    LandmarkReport,
    check_protocol,
    default_protocol,
    image_errors,
    landmark_errors,
    report_landmarks,
)
from autolink_gen.evaluation.settings import EvaluationSettings
from autolink_gen.evaluation.showcase import Predictions, best_and_worst, from_normalised, spread_graphs
from autolink_gen.evaluation.splits import AnnotatedSplit, annotate, overlap
from autolink_gen.inference.landmark_regressor import graph_fingerprint, landmark_names
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.divergence import named_as
from autolink_gen.runs import RunFolder

_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class _LabelledScores:
    """The results of a graph on labelled images, and the splits they come from."""

    fit: Annotations
    test: Annotations
    names: tuple[str, ...]
    samples: LeakSamples
    predictions: Predictions
    by_eyes: bool = False
    notes: tuple[str, ...] = ()
    landmarks: LandmarkReport | None = None
    landmark_names: tuple[str, ...] = ()
    num_test_fitted: int | None = None
    puppets: PuppetScores | None = None
    untrained: PuppetScores | None = None


def evaluate_graph_run(
    run: RunFolder,
    requested: EvaluationSettings,
    outputs: Outputs,
    *,
    device: str,
    batch_size: int,
    progress: Progress,
) -> GraphEvaluation:
    """Score a graph and write the results; ValueError as `evaluate`."""
    settings = requested.on_data_of(run, default=PUPPETS)
    is_labelled = isinstance(settings.source, PuppetSource) or outputs.regressor is not None or settings.has_landmarks()
    endings: dict[Result, str] = {"json": ".json"}
    if is_labelled:
        endings |= {"picture": ".png", "regressor": "-regressor.json"}
    files = ResultFiles(
        run,
        settings.source.label + settings.trial,
        outputs,
        endings=endings,
        images=_IMAGE_ENDINGS,
        settings=settings.to_dict(),
        with_graphs=True,
    )
    graph = load_graph_model(run, device=device)
    with named_as(str(run.path)):
        images = _open(graph, settings)
        if is_labelled:
            report = _score_labelled(run, graph, images, settings, files, batch_size=batch_size, progress=progress)
        else:
            report = _score_unlabelled(run, graph, images, settings, files, batch_size=batch_size, progress=progress)
    return replace(report, files=tuple(files.written))


def _open(graph: AutoLink, settings: EvaluationSettings) -> Dataset[Tensor]:
    """The images to test on, as the graph was trained to see them."""
    size, fit, source = graph.config.input_size, graph.config.fit, settings.source
    if settings.hold_out and not isinstance(source, PuppetSource):
        return open_people(source, every=settings.hold_out, held_out=True, size=size, fit=fit)
    return source.images("test", size=size, fit=fit)


def _score_unlabelled(
    run: RunFolder,
    graph: AutoLink,
    images: Dataset[Tensor],
    settings: EvaluationSettings,
    files: ResultFiles,
    *,
    batch_size: int,
    progress: Progress,
) -> GraphEvaluation:
    max_images = min(leak.MAX_IMAGES, settings.max_test or leak.MAX_IMAGES)
    samples = samples_of_images(
        graph, images, source=settings.source, max_images=max_images, batch_size=batch_size, progress=progress
    )
    appearance_leak, notes = _leak(samples)
    report = GraphEvaluation(
        model=str(run.path),
        data=settings.source.text,
        notes=(f"model: {run}", "no landmarks: scored without", *notes),
        leak=appearance_leak,
        equivariance=equivariance(
            graph, images, max_images=_max_images(settings), batch_size=batch_size, progress=progress
        ),
    )
    files.write_scores(report)
    return report


def _score_labelled(
    run: RunFolder,
    graph: AutoLink,
    images: Dataset[Tensor],
    settings: EvaluationSettings,
    files: ResultFiles,
    *,
    batch_size: int,
    progress: Progress,
) -> GraphEvaluation:
    on_puppets = isinstance(settings.source, PuppetSource)
    score = _score_puppets if on_puppets else _score_landmarks
    scored = score(run, graph, settings, batch_size=batch_size, progress=progress)
    appearance_leak, leak_notes = _leak(scored.samples)
    few, few_notes = _few_shot(scored, settings.few_shot, progress=progress)
    report = GraphEvaluation(
        model=str(run.path),
        data=settings.source.text,
        notes=(f"model: {run}", *scored.notes, *leak_notes, *few_notes),
        leak=appearance_leak,
        few_shot=few,
        landmarks=scored.landmarks,
        landmark_names=scored.landmark_names,
        num_test_fitted=scored.num_test_fitted,
        puppets=scored.puppets,
        untrained=scored.untrained,
        equivariance=equivariance(
            graph, images, max_images=_max_images(settings), batch_size=batch_size, progress=progress
        ),
    )
    _write_regressor(graph, scored, files)
    files.write_scores(report)
    _write_images(graph, scored.predictions, files)
    return report


def _max_images(settings: EvaluationSettings) -> int:
    return min(MAX_IMAGES, settings.max_test or MAX_IMAGES)


def _score_landmarks(
    run: RunFolder, graph: AutoLink, settings: EvaluationSettings, *, batch_size: int, progress: Progress
) -> _LabelledScores:
    fit_split, test_split = read_splits(settings)
    num_fitted, num_keypoints = overlap(fit_split, test_split), graph.config.num_keypoints
    split_notes = notes_on_splits(fit_split, test_split, num_fitted=num_fitted, num_keypoints=num_keypoints)
    notes = [trained_on_note(run, settings), *split_notes]
    num_landmarks, names = test_split.table.points.shape[1], test_split.table.names
    protocol = settings.protocol or default_protocol(settings.source.text, num_landmarks)
    check_protocol(protocol, num_landmarks, names=names)
    fit, test = (
        annotate(graph, split, batch_size=batch_size, label=label, progress=progress)
        for label, split in (("fit", fit_split), ("test", test_split))
    )
    report = report_landmarks(fit, test, protocol=protocol)
    return _LabelledScores(
        fit,
        test,
        tuple(names or landmark_names(num_landmarks)),
        samples_of_annotations(test_split, test),
        _landmark_predictions(test_split, fit, test, report),
        by_eyes=report.by_eyes,
        notes=tuple(note for note in notes if note),
        landmarks=report,
        landmark_names=tuple(names),
        num_test_fitted=num_fitted,
    )


def _score_puppets(
    run: RunFolder, graph: AutoLink, settings: EvaluationSettings, *, batch_size: int, progress: Progress
) -> _LabelledScores:
    settings.check_puppets()
    numbers = {"num_fit": settings.max_fit, "num_test": settings.max_test}
    limits = {name: number for name, number in numbers.items() if number is not None}
    learned, untrained = (
        evaluate_puppets(model, batch_size=batch_size, progress=progress, **limits)
        for model in (graph, untrained_like(graph))
    )
    size = graph.config.input_size
    fit, test = (replace(split, true=from_normalised(split.true, size=size)) for split in (learned.fit, learned.test))
    return _LabelledScores(
        fit,
        test,
        tuple(JOINT_NAMES),
        samples_of_puppets(learned.fit, learned.test),
        _puppet_predictions(learned),
        puppets=learned.scores,
        untrained=untrained.scores,
    )


def _leak(samples: LeakSamples) -> tuple[leak.AppearanceLeak | None, list[str]]:
    """The appearance leak; None and a note if there are too few images."""
    if len(samples) < leak.MIN_IMAGES:
        return None, [f"appearance leak: not measured on {counted(len(samples), 'image')}, it takes {leak.MIN_IMAGES}"]
    return leak.appearance_leak(samples.keypoints, samples.colours, classes=samples.classes, groups=samples.groups), []


def _few_shot(
    scored: _LabelledScores, counts: tuple[int | None, ...] | None, *, progress: Progress
) -> tuple[tuple[FewShotScore, ...] | None, list[str]]:
    """The few-shot scores, and a note if a count exceeds the images; a count of None: all."""
    if counts is None:
        return None, []
    num_images = len(scored.fit.true)
    too_many = ", ".join(str(count) for count in counts if count and count > num_images)
    notes = [f"few-shot: {too_many} are more than the {num_images} images to fit on"] if too_many else []
    numbers = [num_images if count is None else count for count in counts]
    return tuple(few_shot(scored.fit, scored.test, numbers, by_eyes=scored.by_eyes, progress=progress)), notes


# ---- what is written ----


def _write_regressor(graph: AutoLink, scored: _LabelledScores, files: ResultFiles) -> None:
    """Write the map from keypoints to named landmarks, where it is asked for."""
    if (file := files.place("regressor")) is not None:
        fitted_regressor(scored.fit, names=scored.names, graph=graph_fingerprint(graph.edge_weights)).save(file)
        files.written.append((file, "landmarks from keypoints, for autolink-gen detect --regressor"))


def _write_images(graph: AutoLink, predictions: Predictions, files: ResultFiles) -> None:
    if (file := files.place("picture")) is not None:
        write_image(file, best_and_worst(predictions, graph.edge_weights))
        files.written.append((file, "the best and the worst (green: true, red: predicted), and their graphs"))
        graphs = graphs_beside(file)
        write_image(graphs, spread_graphs(predictions, graph.edge_weights))
        files.written.append((graphs, "the graph on an even choice of the test images"))


def _landmark_predictions(
    split: AnnotatedSplit, fit: Annotations, test: Annotations, report: LandmarkReport
) -> Predictions:
    predicted = predict(fit, test)
    errors = landmark_errors(predicted, test, by_eyes=report.by_eyes)
    return Predictions(
        read_image=split.image,
        keypoints=test.detected,
        predicted=predicted,
        true=test.true,
        visible=labelled_landmarks(test),
        errors_percent=image_errors(errors) * 100,
    )


def _puppet_predictions(results: PuppetResults) -> Predictions:
    size = results.samples[0].image.shape[0]
    joints: Float[ndarray, "N P 2"] = np.stack([sample.joints for sample in results.samples]).astype(np.float64)
    distances = np.linalg.norm(results.predicted_joints - joints, axis=-1)
    return Predictions(
        read_image=lambda index: results.samples[index].image,
        keypoints=results.test.detected,
        predicted=from_normalised(results.predicted_joints, size=size),
        true=from_normalised(joints, size=size),
        visible=np.ones(joints.shape[:2], dtype=bool),
        errors_percent=distances.mean(axis=1) / 2 * 100,
    )
