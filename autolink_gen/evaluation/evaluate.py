"""Score a run of any kind: a graph, a GAN or a transfer network."""

import os
from pathlib import Path

from autolink_gen.common.devices import chosen_device
from autolink_gen.common.progress import Progress, progress_bar
from autolink_gen.evaluation.gan_runs import GanEvaluation, evaluate_gan_run
from autolink_gen.evaluation.graph_reports import GraphEvaluation
from autolink_gen.evaluation.graph_runs import evaluate_graph_run
from autolink_gen.evaluation.outputs import Outputs
from autolink_gen.evaluation.settings import EvaluationSettings, FewShotCounts
from autolink_gen.evaluation.transfer_runs import TransferEvaluation, evaluate_transfer_run
from autolink_gen.runs import RunFolder

AnyPath = str | os.PathLike[str]


def evaluate(
    run: AnyPath | None = None,
    *,
    data: AnyPath | None = None,
    data_root: AnyPath | None = None,
    landmarks: AnyPath | None = None,
    fit_data: AnyPath | None = None,
    fit_landmarks: AnyPath | None = None,
    protocol: str | None = None,
    hold_out: int | None = None,
    max_fit: int | None = None,
    max_test: int | None = None,
    few_shot: FewShotCounts | None = None,
    witness: AnyPath | None = None,
    fid_weights: AnyPath | None = None,
    out: AnyPath | None = None,
    json: AnyPath | None = None,
    picture: AnyPath | None = None,
    regressor: AnyPath | None = None,
    overwrite: bool = False,
    batch_size: int = 32,
    device: str | None = None,
    progress: Progress = progress_bar,
) -> GraphEvaluation | GanEvaluation | TransferEvaluation:
    """Score a run of any kind, as the command ``evaluate`` does.

    The kind is read from the weights.

    ``run`` is a name, a folder, a file of weights, or what training returned; None: the newest graph. ``data`` are the
    images to test on; None: those it was trained on. ``max_test`` limits them.

    A graph is scored by ``protocol`` on ``landmarks``, a table, after a fit on ``max_fit`` images of ``fit_data`` with
    ``fit_landmarks``, or with ``hold_out`` on every Nth person of the training split; with ``few_shot`` also after fits
    on so many images, as (1, 10, "all"). Without landmarks it is measured how keypoints follow moved images. A GAN may
    be scored by another graph too, the ``witness``, and with Inception's ``fid_weights``.

    Nothing is written unless asked for: all results to the folder ``out``, or the scores to ``json``, images or a video
    to ``image``, the map from keypoints to landmarks to ``regressor``.

    Raises ValueError for a setting of another kind of run, for data without what is needed, and for a file that is
    there already without ``overwrite``.
    """
    run_folder = RunFolder.find(run)
    settings = EvaluationSettings(
        data=None if data is None else os.fspath(data),
        data_root=_path(data_root),
        landmarks=_path(landmarks),
        fit_data=_path(fit_data),
        fit_landmarks=_path(fit_landmarks),
        protocol=protocol,
        hold_out=hold_out,
        max_fit=max_fit,
        max_test=max_test,
        few_shot=None if few_shot is None else tuple(None if count == "all" else count for count in few_shot),
        witness=None if witness is None else os.fspath(witness),
        fid_weights=_path(fid_weights),
    )
    outputs = Outputs(_path(out), _path(json), _path(picture), _path(regressor), overwrite)
    settings.check_kind(run_folder, regressor=outputs.regressor)
    device = chosen_device(device)
    if run_folder.kind == "gan":
        return evaluate_gan_run(run_folder, settings, outputs, device=device, progress=progress)
    if run_folder.kind == "transfer":
        return evaluate_transfer_run(run_folder, settings, outputs, device=device, progress=progress)
    return evaluate_graph_run(run_folder, settings, outputs, device=device, batch_size=batch_size, progress=progress)


def _path(path: AnyPath | None) -> Path | None:
    return None if path is None else Path(path)
