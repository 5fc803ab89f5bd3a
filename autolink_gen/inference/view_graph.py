"""A learned graph as images and as a table: its edge matrix, its mean pose, its clusters."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from autolink_gen.checkpoints import load_graph_model
from autolink_gen.clusters import DEFAULT_CLUSTERS, ClusterChoice, without_clusters, without_text
from autolink_gen.common.devices import float64_array
from autolink_gen.common.files import check_free, write_image, write_text_atomically
from autolink_gen.common.progress import Progress, progress_bar
from autolink_gen.common.text import typed
from autolink_gen.data.source import open_source
from autolink_gen.data.sources.base import Source
from autolink_gen.inference.detect import mean_pose
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.graph_analysis import cluster_keypoints
from autolink_gen.ops.divergence import DivergedModelError
from autolink_gen.ops.keypoints import unlinked_keypoints
from autolink_gen.runs import CONFIG_NAME, ResultNote, RunFolder
from autolink_gen.viz.edge_matrix import edge_matrix_figure
from autolink_gen.viz.graphs import edges_by_weight, graph_on_mean_pose, keypoint_colours, strong_edges

_FILES = ("edge_matrix.png", "graph.png", "edges.csv")
_LISTED = 20  # edges, the heaviest: 32 keypoints have 496


@dataclass(frozen=True)
class GraphView:
    """A graph's weights, edges and clusters, and the files that show them.

    ``edges`` are (i, j, share of the largest weight), those of at least ``threshold``. ``labels`` are the cluster of
    each keypoint, out of ``clusters``; ``dropped`` are the clusters left out, and ``without`` says so in words.
    """

    run: RunFolder
    edge_weights: Float[ndarray, "K K"]
    edges: tuple[tuple[int, int, float], ...]
    threshold: float
    clusters: int | None
    labels: Int[ndarray, "K"] | None
    dropped: ClusterChoice | None
    without: str
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        model = f"model: {self.run}, {len(self.edge_weights)} keypoints{self.without}"
        written = [f"wrote {file}" for file in self.files]
        return "\n".join([model, *self.notes, *self._edge_lines(), *self._cluster_lines(), *written])

    def _edge_lines(self) -> list[str]:
        count = len(self.edge_weights)
        lines = [
            f"{len(self.edges)} of {count * (count - 1) // 2} edges have at least {self.threshold:.0%} of the largest "
            f"weight:",
            "  keypoints    weight  of largest",
            *(f"  {i:>4} -{j:>3}  {self.edge_weights[i, j]:>9.4g}  {s:>9.1%}" for i, j, s in self.edges[:_LISTED]),
        ]
        more = len(self.edges) - _LISTED
        return [*lines, f"  ... and {more} more in {_FILES[2]}"] if more > 0 else lines

    def _cluster_lines(self) -> list[str]:
        if self.labels is None:
            return []
        members = [np.flatnonzero(self.labels == cluster) for cluster in range(int(self.labels.max()) + 1)]
        lines = [f"cluster {cluster}: keypoints {', '.join(map(str, each))}" for cluster, each in enumerate(members)]
        return lines if self.dropped else [*lines, *self._next_lines()]

    def _next_lines(self) -> list[str]:
        """The options that leave a cluster out, with the faintest one as an example."""
        assert self.labels is not None and self.clusters is not None
        heaviest = self.edge_weights.max(axis=0)
        strengths = {
            cluster: heaviest[self.labels == cluster].mean()
            for cluster in set(self.labels.tolist())
            if (self.labels != cluster).sum() > 1  # else no two keypoints are left
        }
        if not strengths:
            return []
        faintest = min(strengths, key=lambda cluster: (strengths[cluster], cluster))
        options = ClusterChoice(self.clusters, (faintest,)).options
        model = "" if self.run.newest else f"--model {typed(_name(self.run))} "
        return [
            f"to leave one out, such as cluster {faintest}, which has the faintest edges:",
            f"  autolink-gen detect IMAGES {model}{options}",
            f"  train-gan, train-transfer and view-graph take {options} too",
        ]


def view_graph(
    run: str | os.PathLike[str] | None = None,
    *,
    out: Path | None = None,
    data: str | None = None,
    data_root: Path | None = None,
    clusters: int | None = None,
    drop_clusters: Sequence[int] = (),
    threshold: float = 0.1,
    overwrite: bool = False,
    progress: Progress = progress_bar,
) -> GraphView:
    """Write a graph's edge matrix, its drawing on the mean pose, and a table of its edges.

    ``run`` is a graph's, or that of a GAN for the graph that it paints on; None: the newest graph. ``out``: a folder in
    the run's unless given. ``data``: those that the run was trained on unless given; on a circle where nothing says
    which. ``clusters`` splits the keypoints by spectral clustering, and ``drop_clusters`` leaves some out. Edges of at
    least ``threshold`` of the largest weight are drawn.

    Raises ValueError for files that are there already without ``overwrite``, but for those of the same call; for data
    that cannot be opened; and for clusters that do not exist.
    """
    run_folder = RunFolder.find(run, kind="graph")
    graph = load_graph_model(run_folder)
    dropped = ClusterChoice(clusters or DEFAULT_CLUSTERS, tuple(sorted(set(drop_clusters)))) if drop_clusters else None
    folder = out or run_folder.output(_folder_name(clusters, dropped))
    settings = {"clusters": clusters, "dropped_clusters": list(drop_clusters), "threshold": threshold}
    run_data = run_folder.data() if data is None else None
    data_settings = {
        "data": data or (run_data and run_data.name),
        "data_root": data_root or (run_data and run_data.root),
    }
    note = None if out is not None else _note(folder, run_folder, {**data_settings, **settings})
    if note is None or not note.is_there:
        check_free(*(folder / name for name in _FILES), overwrite=overwrite)
    model = without_clusters(graph, dropped)
    num_clusters = dropped.clusters if dropped else clusters
    labels = None if num_clusters is None else cluster_keypoints(graph.edge_weights, num_clusters)
    weights = float64_array(model.edge_weights)
    pose, notes = _pose(model, run_folder, data, data_root, progress)
    image = _draw(pose, weights, labels, threshold=threshold, dropped=drop_clusters)
    if note is not None:
        note.write()
    files = _write(folder, weights, image, labels, without=unlinked_keypoints(model.edge_weights).tolist())
    edges = tuple(strong_edges(weights, threshold=threshold))
    without = without_text(model, dropped)
    return GraphView(run_folder, weights, edges, threshold, num_clusters, labels, dropped, without, files, notes)


def _name(run: RunFolder) -> str:
    """How to name a run in a command: by its name alone, if that is enough."""
    name = run.folder.name
    return name if run.path == Path("runs") / run.kind / name else str(run.path)


def _folder_name(clusters: int | None, dropped: ClusterChoice | None) -> str:
    """A folder name for these clusters, so that calls do not overwrite each other's images."""
    if dropped is not None:
        return f"graph-{dropped.label}"
    return "graph" if clusters is None else f"graph-{clusters}-clusters"


def _note(folder: Path, run: RunFolder, settings: Mapping[str, Any]) -> ResultNote:
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
    known = {name: value for name, value in plain.items() if value is not None}
    return ResultNote.of(folder / "graph-settings.json", run, known)


def _pose(
    model: AutoLink, run: RunFolder, data: str | None, data_root: Path | None, progress: Progress
) -> tuple[Float[ndarray, "K 2"], tuple[str, ...]]:
    """The mean pose over images, else a circle and a note that says why.

    The images are those that the run was trained on, unless others are given.
    """
    if data is not None:
        return _mean_pose(model, run, open_source(data, root=data_root), seed=0, progress=progress), ()
    config, source = run.config(), run.source(root=data_root)
    if config is None or source is None:
        note = (
            f"keypoints are laid on a circle, give --data for a mean pose: {run.output(CONFIG_NAME)} is missing, or "
            f"does not name the run's images"
        )
        return _circle(model.config.num_keypoints), (note,)
    try:
        return _mean_pose(model, run, source, seed=config.training.seed, progress=progress), ()
    except DivergedModelError:
        raise
    except (OSError, ValueError) as error:
        raise ValueError(
            f"the run {run.path} was trained on {source.public_name}, which cannot be opened: give --data with its "
            f"place now, or with other data ({error})"
        ) from error


def _mean_pose(
    model: AutoLink, run: RunFolder, source: Source, *, seed: int, progress: Progress
) -> Float[ndarray, "K 2"]:
    images = source.images(size=model.config.input_size, fit=model.config.fit, seed=seed)
    return mean_pose(model, images, progress=progress, name=str(run.path))


def _circle(num_keypoints: int) -> Float[ndarray, "K 2"]:
    angles = np.arange(num_keypoints) / num_keypoints * 2 * np.pi
    return np.stack([np.sin(angles), -np.cos(angles)], axis=1)


def _draw(
    pose: Float[ndarray, "K 2"],
    weights: Float[ndarray, "K K"],
    labels: Int[ndarray, "K"] | None,
    *,
    threshold: float,
    dropped: Sequence[int],
) -> UInt8[ndarray, "_ _ 3"]:
    """The graph on a pose, with a colour and a legend for each cluster."""
    if labels is None:
        return graph_on_mean_pose(pose, weights, threshold=threshold)
    palette = keypoint_colours(int(labels.max()) + 1)
    legend = [(f"cluster {number}", colour) for number, colour in enumerate(palette) if number not in dropped]
    return graph_on_mean_pose(pose, weights, threshold=threshold, colours=palette[labels], legend=legend)


def _write(
    folder: Path,
    weights: Float[ndarray, "K K"],
    image: UInt8[ndarray, "_ _ 3"],
    labels: Int[ndarray, "K"] | None,
    *,
    without: Sequence[int],
) -> tuple[Path, ...]:
    matrix, graph, edges = (folder / name for name in _FILES)
    write_image(matrix, edge_matrix_figure(weights))
    write_image(graph, image)
    write_text_atomically(edges, _table(weights, labels, without=without))
    return matrix, graph, edges


def _table(weights: Float[ndarray, "K K"], labels: Int[ndarray, "K"] | None, *, without: Sequence[int]) -> str:
    """The edges as CSV, the heaviest first."""
    edges = edges_by_weight(weights)
    largest = edges[0][2] or 1.0
    rows = ["keypoint_a,keypoint_b,weight,share_of_largest" + ("" if labels is None else ",cluster_a,cluster_b")]
    for i, j, weight in edges:
        if i not in without and j not in without:
            ends = "" if labels is None else f",{labels[i]},{labels[j]}"
            rows.append(f"{i},{j},{weight:.6g},{weight / largest:.6g}{ends}")
    return "\n".join(rows) + "\n"
