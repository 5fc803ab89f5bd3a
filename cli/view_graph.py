"""`autolink-gen view-graph`: a learned graph as pictures and as a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autolink_gen.cli.shared import run_settings

if TYPE_CHECKING:
    import numpy as np

    from autolink_gen.models.autolink import AutoLink

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("view-graph")
@click.argument("run", required=False)
@click.option("--out", metavar="DIR", type=_FOLDER, help="Folder to write to. [default: graph, in the run's]")
@click.option("--data", metavar="DATA", help="Data set or folder for the mean pose. [default: the run's own]")
@click.option("--data-root", metavar="DIR", type=_FOLDER, help="Where the named data sets lie.")
@click.option("--clusters", type=click.IntRange(1), metavar="N",
              help="Part the keypoints into N clusters; 2 part object from background.")  # fmt: skip
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="Show edges whose weight is at least this share of the largest.")  # fmt: skip
def view_graph(
    *,
    run: str | None,
    out: Path | None,
    data: str | None,
    data_root: Path | None,
    clusters: int | None,
    threshold: float,
) -> None:
    """Show a learned graph: its edge matrix, its edges by weight, and the graph on the mean pose.

    RUN is a run's name or folder, or its weights; without it the newest run is taken; for the folder of a GAN run,
    the graph that it paints on. Written to --out:
    edge_matrix.png, a heat map of the weights; graph.png, the graph on the mean pose of pictures (keypoints
    on a circle where the run's own cannot be opened); edges.csv, all edges, the heaviest first.

    With --clusters the keypoints are parted by spectral clustering of the edge weights, so that strong edges
    lie inside a cluster and weak ones between; --clusters 2 parts the object from the background (AutoLink,
    Figure 7c).

    \b
    Example:
      autolink-gen view-graph faces --clusters 2
    """
    from autolink_gen.charts import edge_matrix_figure
    from autolink_gen.checkpoints import find_run, load_graph_model
    from autolink_gen.graph_analysis import cluster_keypoints
    from autolink_gen.viz import graph_on_mean_pose, keypoint_colours, strong_edges

    found = find_run("graph", run)
    model = load_graph_model(found)
    weights = model.edge_weights.detach().double().numpy()
    click.echo(f"model: {found} ({len(weights)} keypoints)" + ("" if run else ", the newest run"))
    labels = None if clusters is None else cluster_keypoints(weights, clusters)
    pose = _own_pose(model, found, data_root) if data is None else _pose(model, data, data_root)
    colours = None if labels is None else keypoint_colours(int(labels.max()) + 1)[labels]
    _print_edges(weights, strong_edges(weights, threshold=threshold), threshold)
    if labels is not None:
        _print_clusters(labels)
    folder = out or (found if found.is_dir() else found.parent) / "graph"
    drawn = graph_on_mean_pose(pose, weights, threshold=threshold, colours=colours)
    _write_picture(folder / "edge_matrix.png", edge_matrix_figure(weights))
    _write_picture(folder / "graph.png", drawn)
    _write_csv(folder / "edges.csv", weights, labels)


def _pose(
    model: "AutoLink", data: str, root: Path | None, *, classes: Sequence[str] = (), seed: int = 0
) -> "np.ndarray":
    from tqdm import tqdm

    from autolink_gen.data.catalog import open_dataset
    from autolink_gen.inference.detect import MEAN_POSE_PICTURES, mean_pose

    config = model.config
    dataset = open_dataset(data, root=root, image_size=config.image_size, fit=config.fit, classes=classes, seed=seed)
    total = min(MEAN_POSE_PICTURES, len(dataset))  # type: ignore[arg-type]
    with tqdm(total=total, desc="mean pose", unit="picture", leave=False, delay=1, disable=None) as bar:
        return mean_pose(model, dataset, progress=bar.update)


def _own_pose(model: "AutoLink", found: Path, root: Path | None) -> "np.ndarray":
    """The mean pose over the pictures that the run was trained on, or a circle where they cannot be had."""
    folder = found if found.is_dir() else found.parent
    try:
        data, training = run_settings(folder, "data"), run_settings(folder, "training")
        if "name" not in data:
            raise ValueError(f"{folder / 'config.yaml'} is missing, or does not name the run's pictures")
        own_root = root or (Path(data["root"]) if data.get("root") else None)
        return _pose(model, data["name"], own_root, classes=data.get("classes", ()), seed=training.get("seed", 0))
    except (OSError, ValueError) as error:
        click.echo(f"keypoints are laid on a circle, give --data for a mean pose: {error}", err=True)
        return _circle(model.config.num_keypoints)


def _circle(num_keypoints: int) -> "np.ndarray":
    import numpy as np

    angles = np.arange(num_keypoints) / num_keypoints * 2 * np.pi
    return np.stack([np.sin(angles), -np.cos(angles)], axis=1)


def _print_edges(weights: "np.ndarray", edges: Sequence[tuple[int, int, float]], threshold: float) -> None:
    num_all = len(weights) * (len(weights) - 1) // 2
    click.echo(f"{len(edges)} of {num_all} edges have at least {threshold:.0%} of the largest weight:")
    click.echo("  keypoints    weight  of largest")
    for i, j, share in edges:
        click.echo(f"  {i:>4} -{j:>3}  {weights[i, j]:>9.4g}  {share:>9.1%}")


def _print_clusters(labels: "np.ndarray") -> None:
    for cluster in range(int(labels.max()) + 1):
        members = ", ".join(str(k) for k, label in enumerate(labels) if label == cluster)
        click.echo(f"cluster {cluster}: keypoints {members}")


def _write_picture(path: Path, picture: "np.ndarray") -> None:
    from autolink_gen.files import write_picture

    write_picture(path, picture)
    click.echo(f"wrote {path}")


def _write_csv(path: Path, weights: "np.ndarray", labels: "np.ndarray | None") -> None:
    from autolink_gen.files import write_text_atomically
    from autolink_gen.viz import edges_by_weight

    edges = edges_by_weight(weights)
    largest = edges[0][2] or 1.0
    header, rows = "keypoint_a,keypoint_b,weight,share_of_largest", []
    for i, j, weight in edges:
        ends = "" if labels is None else f",{labels[i]},{labels[j]}"
        rows.append(f"{i},{j},{weight:.6g},{weight / largest:.6g}{ends}")
    if labels is not None:
        header += ",cluster_a,cluster_b"
    write_text_atomically(path, "\n".join([header, *rows]) + "\n")
    click.echo(f"wrote {path}")
