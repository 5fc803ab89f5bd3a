"""`autolink-gen view-graph`: a learned graph as pictures and as a table."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolink_gen.cli.cluster_choice import cluster_choice, left_of
from autolink_gen.cli.evaluation_files import noted, weights_and_settings
from autolink_gen.cli.options import echo, overwrite_option
from autolink_gen.cli.shared import check_own_data, run_settings
from autolink_gen.common.text import typed
from autolink_gen.data.identity import public_data

if TYPE_CHECKING:
    import numpy as np

    from autolink_gen.models.autolink import AutoLink

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILES = ("edge_matrix.png", "graph.png", "edges.csv")
_PRINTED = 20  # edges, the heaviest: 32 keypoints have 496
_NOTE = "graph-settings.json"


@click.command("view-graph")
@click.argument("run", required=False)
@click.option("--out", metavar="DIR", type=_FOLDER, help="Folder to write to. "
              "[default: graph in the run's; graph-2-clusters with --clusters 2; graph-without-1-of-2 where cluster 1 "
              "of 2 is left out]")  # fmt: skip
@overwrite_option
@click.option("--data", metavar="DATA", help="Data set or folder for the mean pose. [default: the run's own]")
@click.option("--data-root", metavar="DIR", type=_FOLDER, help="Where the named data sets lie.")
@click.option("--clusters", type=click.IntRange(1), metavar="N",
              help="Part the keypoints into N clusters; 2 part object from background. "
              "[default: 2 with --drop-cluster, else none]")  # fmt: skip
@click.option("--drop-cluster", "dropped_clusters", type=int, multiple=True, metavar="C",
              help="Show what is left without cluster C; repeat it for several.")  # fmt: skip
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="Show edges whose weight is at least this share of the largest.")  # fmt: skip
def view_graph(
    *,
    run: str | None,
    out: Path | None,
    overwrite: bool,
    data: str | None,
    data_root: Path | None,
    clusters: int | None,
    dropped_clusters: tuple[int, ...],
    threshold: float,
) -> None:
    """Show a learned graph: its edge matrix, its edges by weight, and the graph on the mean pose.

    RUN is a run's name or folder, or its weights; without it the newest run is taken; for the folder of a GAN run, the
    graph that it paints on. Written to --out: edge_matrix.png, a heat map of the weights; graph.png, the graph on the
    mean pose of pictures (keypoints on a circle where the run has none of its own); edges.csv, all edges, the
    heaviest first. Where one of them is there already, nothing is done without --overwrite; in the run's folder,
    the same command on the same weights goes over its own (graph-settings.json says which).

    With --clusters the keypoints are parted by spectral clustering of the edge weights, so that strong edges lie
    inside a cluster and weak ones between; --clusters 2 parts the object from the background (Figure 7c). Clusters are
    numbered by the lowest keypoint in them; detect, train-gan and train-transfer leave out what --drop-cluster names.

    \b
    Examples:
      autolink-gen view-graph faces --clusters 2
      autolink-gen view-graph faces --clusters 2 --drop-cluster 1
    """
    from autolink_gen.checkpoints import load_graph_model
    from autolink_gen.clusters import without_text
    from autolink_gen.models.graph_analysis import cluster_keypoints
    from autolink_gen.ops.keypoints import unlinked_keypoints
    from autolink_gen.runs import RunFolder

    opened = RunFolder.find(run, kind="graph")
    found = opened.path
    whole = load_graph_model(found)
    folder = out or _default_folder(found, clusters, dropped_clusters)
    own = _own_data(found) if data is None else {}
    shown = {"clusters": clusters, "dropped_clusters": list(dropped_clusters), "threshold": threshold}
    mark = _mark(found, {"data": data or own.get("name"), "data_root": data_root or own.get("root"), **shown}, out)
    _check_free(folder, mark, overwrite=overwrite)
    choice = cluster_choice(clusters, dropped_clusters) if dropped_clusters else None
    model = left_of(whole, choice)
    clusters = choice.clusters if choice else clusters
    labels = None if clusters is None else cluster_keypoints(whole.edge_weights, clusters)
    weights = model.edge_weights.detach().double().numpy()
    echo(f"model: {opened}, {len(weights)} keypoints{without_text(model, choice)}")
    pose = _pose(model, data, data_root, name=str(found)) if data else _own_pose(model, found, own, data_root)
    _print_graph(weights, labels, threshold=threshold, clusters=clusters, example=None if choice else run or "")
    drawn = _drawn(pose, weights, labels, threshold=threshold, dropped=dropped_clusters)
    _write(folder, mark, weights, drawn, labels, without=unlinked_keypoints(model.edge_weights).tolist())


def _print_graph(
    weights: "np.ndarray", labels: "np.ndarray | None", *, threshold: float, clusters: int | None, example: str | None
) -> None:
    """Print the strong edges, and the clusters where there are any."""
    _print_edges(weights, threshold)
    if labels is not None and clusters is not None:
        _print_clusters(labels, weights, clusters=clusters, example=example)


def _mark(run: Path, settings: Mapping[str, Any], out: Path | None) -> dict[str, Any] | None:
    """What tells a call from another in the run's own folder; None elsewhere."""
    return None if out is not None else weights_and_settings(run, settings)


def _write(
    folder: Path,
    mark: "dict[str, Any] | None",
    weights: "np.ndarray",
    drawn: "np.ndarray",
    labels: "np.ndarray | None",
    *,
    without: list[int],
) -> None:
    """Write whose they are, in the run's own folder, then the pictures and the table."""
    from autolink_gen.common.files import write_text_atomically
    from autolink_gen.viz.edge_matrix import edge_matrix_figure

    if mark is not None:
        write_text_atomically(folder / _NOTE, json.dumps(mark, indent=2) + "\n")
    matrix, graph, edges = (folder / name for name in _FILES)
    _write_picture(matrix, edge_matrix_figure(weights))
    _write_picture(graph, drawn)
    _write_csv(edges, weights, labels, without=without)


def _default_folder(run: Path, clusters: int | None, dropped: tuple[int, ...]) -> Path:
    """One in the run's folder, another for other clusters, lest one call takes the place of another's pictures."""
    choice = cluster_choice(clusters, dropped) if dropped else None
    name = "graph" if clusters is None else f"graph-{clusters}-clusters"
    return (run if run.is_dir() else run.parent) / (f"graph-{choice.label}" if choice else name)


def _check_free(folder: Path, mark: Mapping[str, Any] | None, *, overwrite: bool) -> None:
    """ValueError for a file that is there already, but where the note beside it says that it is the same again."""
    from autolink_gen.common.files import check_free

    if mark and mark == noted(folder / _NOTE):
        return
    check_free(*(folder / name for name in _FILES), overwrite=overwrite)


def _pose(
    model: "AutoLink", data: str, root: Path | None, *, name: str, classes: Sequence[str] = (), seed: int = 0
) -> "np.ndarray":
    from tqdm import tqdm

    from autolink_gen.data.source import open_source
    from autolink_gen.inference.detect import MEAN_POSE_PICTURES, mean_pose

    config = model.config
    dataset = open_source(data, root=root, classes=classes).images(size=config.input_size, fit=config.fit, seed=seed)
    total = min(MEAN_POSE_PICTURES, len(dataset))  # type: ignore[arg-type]
    with tqdm(total=total, desc="mean pose", unit="picture", leave=False, delay=1, disable=None) as bar:
        return mean_pose(model, dataset, progress=bar.update, name=name)


def _own_data(run: Path) -> dict[str, Any]:
    """The run's settings of data, its seed among them; UsageError where they are a path that is not there any more."""
    folder = run if run.is_dir() else run.parent
    settings = run_settings(folder, "data")
    if not settings.get("name"):
        return {}
    check_own_data(settings["name"], run)
    return {**settings, "seed": run_settings(folder, "training").get("seed", 0)}


def _own_pose(model: "AutoLink", run: Path, own: Mapping[str, Any], root: Path | None) -> "np.ndarray":
    """The mean pose over the pictures that the run was trained on, or a circle where it does not say which.

    ClickException where they cannot be opened.
    """
    from autolink_gen.ops.divergence import DivergedModelError

    if not own:
        file = (run if run.is_dir() else run.parent) / "config.yaml"
        echo(f"keypoints are laid on a circle, give --data for a mean pose: {file} is missing, or does not name the "
             f"run's pictures", err=True)  # fmt: skip
        return _circle(model.config.num_keypoints)
    root = root or (Path(own["root"]) if own.get("root") else None)
    try:
        return _pose(model, own["name"], root, classes=own.get("classes", ()), seed=own.get("seed", 0), name=str(run))
    except DivergedModelError:
        raise
    except (OSError, ValueError) as error:
        raise click.ClickException(
            f"the run {run} was trained on {public_data(own['name'])}, which cannot be opened: give --data with its "
            f"place now, or with other data ({error})"
        ) from error


def _circle(num_keypoints: int) -> "np.ndarray":
    import numpy as np

    angles = np.arange(num_keypoints) / num_keypoints * 2 * np.pi
    return np.stack([np.sin(angles), -np.cos(angles)], axis=1)


def _drawn(
    pose: "np.ndarray", weights: "np.ndarray", labels: "np.ndarray | None", *, threshold: float, dropped: Sequence[int]
) -> "np.ndarray":
    """The graph on a pose, with a colour a cluster, and which is which."""
    from autolink_gen.viz.graphs import graph_on_mean_pose, keypoint_colours

    if labels is None:
        return graph_on_mean_pose(pose, weights, threshold=threshold)
    palette = keypoint_colours(int(labels.max()) + 1)
    legend = [(f"cluster {number}", colour) for number, colour in enumerate(palette) if number not in dropped]
    return graph_on_mean_pose(pose, weights, threshold=threshold, colours=palette[labels], legend=legend)


def _print_edges(weights: "np.ndarray", threshold: float) -> None:
    from autolink_gen.viz.graphs import strong_edges

    edges = strong_edges(weights, threshold=threshold)
    num_all = len(weights) * (len(weights) - 1) // 2
    echo(f"{len(edges)} of {num_all} edges have at least {threshold:.0%} of the largest weight:")
    echo("  keypoints    weight  of largest")
    for i, j, share in edges[:_PRINTED]:
        echo(f"  {i:>4} -{j:>3}  {weights[i, j]:>9.4g}  {share:>9.1%}")
    if len(edges) > _PRINTED:
        echo(f"  ... and {len(edges) - _PRINTED} more in {_FILES[2]}")


def _print_clusters(labels: "np.ndarray", weights: "np.ndarray", *, clusters: int, example: str | None) -> None:
    """What is in each, and as an ``example`` for a run, "" for the newest, how one is left out; None: no example."""
    for cluster in range(int(labels.max()) + 1):
        members = ", ".join(str(k) for k, label in enumerate(labels) if label == cluster)
        echo(f"cluster {cluster}: keypoints {members}")
    if example is not None:
        _print_next(labels, weights, clusters=clusters, run=example)


def _print_next(labels: "np.ndarray", weights: "np.ndarray", *, clusters: int, run: str) -> None:
    """What to type to leave a cluster out, with the faintest one as an example."""
    strengths = {c: weights.max(axis=0)[labels == c].mean() for c in set(labels.tolist()) if (labels != c).sum() > 1}
    if not strengths:  # there is none without which two keypoints are left
        return
    faintest = min(strengths, key=lambda cluster: (strengths[cluster], cluster))
    from autolink_gen.clusters import ClusterChoice

    model, options = f"--model {typed(run)} " if run else "", ClusterChoice(clusters, (faintest,)).options
    echo(f"to leave one out, such as cluster {faintest}, which has the faintest edges:")
    echo(f"  autolink-gen detect PICTURES {model}{options}")
    echo(f"  train-gan, train-transfer and view-graph take {options} too")


def _write_picture(path: Path, picture: "np.ndarray") -> None:
    from autolink_gen.common.files import write_picture

    write_picture(path, picture)
    echo(f"wrote {path}")


def _write_csv(path: Path, weights: "np.ndarray", labels: "np.ndarray | None", *, without: Sequence[int]) -> None:
    from autolink_gen.common.files import write_text_atomically
    from autolink_gen.viz.graphs import edges_by_weight

    edges = edges_by_weight(weights)
    largest = edges[0][2] or 1.0
    header, rows = "keypoint_a,keypoint_b,weight,share_of_largest", []
    for i, j, weight in edges:
        if i in without or j in without:
            continue
        ends = "" if labels is None else f",{labels[i]},{labels[j]}"
        rows.append(f"{i},{j},{weight:.6g},{weight / largest:.6g}{ends}")
    if labels is not None:
        header += ",cluster_a,cluster_b"
    write_text_atomically(path, "\n".join([header, *rows]) + "\n")
    echo(f"wrote {path}")
