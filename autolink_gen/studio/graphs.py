"""Looking at a graph: keypoints of a picture, edges, clusters, and the graph without some of them."""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Annotated

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from pydantic import Field

from autolink_gen.clusters import ClusterChoice, without_clusters
from autolink_gen.common.devices import float64_array
from autolink_gen.common.text import typed
from autolink_gen.inference.detect import Detection, SourceImage, detect_images
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.graph_analysis import cluster_keypoints
from autolink_gen.ops.divergence import check_found
from autolink_gen.ops.keypoints import linked_keypoints
from autolink_gen.ops.likelihood import UNCALIBRATED
from autolink_gen.studio.painting import DECIMALS, Pose, circle, hex_colours, rounded
from autolink_gen.studio.uploads import data_url
from autolink_gen.viz.edge_matrix import edge_matrix_figure
from autolink_gen.viz.graphs import keypoint_colours, strong_edges

_ANY = "IMAGES"
_MATRIX_FONT_PX = 20  # the page shows the figure at half its size
_FAINTEST = 0.005  # share of the largest weight: fainter edges are not sent to the page


@dataclass(frozen=True)
class GraphRequest:
    """Into how many clusters to part the keypoints, and which of these to leave out."""

    clusters: Annotated[int, Field(ge=1, le=64)] = 2
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True)
class GraphFacts:
    """A graph as a page shows it.

    ``edges`` are (i, j, share of the largest weight that is left), ``shown`` the keypoints with edges, ``labels`` the
    cluster of each keypoint, ``colours`` "#rrggbb" of each cluster. ``matrix`` is a figure as a data URL, and
    ``command`` detects with the same keypoints.
    """

    edges: list[tuple[int, int, float]]
    shown: list[int]
    labels: list[int]
    colours: list[str]
    matrix: str
    command: str


@dataclass(frozen=True)
class FoundPoints:
    """The keypoints of a picture, (x, y) in [-1, 1].

    ``likelihoods``, from 0 to 1, say how likely each is near its place, and ``widths`` how wide its heatmap is, in
    units of [-1, 1].
    """

    keypoints: Pose
    likelihoods: list[float]
    widths: list[float]


class GraphDesk:
    """Shows one graph, one request at a time; ``name`` is how commands name its run, ``pose`` where no picture is."""

    def __init__(self, graph: AutoLink, *, name: str, pose: ndarray | None = None) -> None:
        self.graph, self.name = graph, name
        self.pose: Pose = rounded(circle(graph.config.num_keypoints) if pose is None else pose)
        self._lock = Lock()

    def facts(self, request: GraphRequest) -> GraphFacts:
        """The graph without the clusters that are left out; ClusterError where too few are left, or there is no such.

        Raises MissingExtraError without scikit-learn, which parts into clusters.
        """
        count = self.graph.config.num_keypoints
        num_clusters = min(request.clusters, count)
        choice = ClusterChoice(num_clusters, request.dropped) if request.dropped else None
        with self._lock:
            labels = cluster_keypoints(self.graph.edge_weights, num_clusters)
            weights = float64_array(without_clusters(self.graph, choice).edge_weights)
        options = f" {choice.options}" if choice else ""
        return GraphFacts(
            edges=strong_edges(weights, threshold=_FAINTEST),
            shown=linked_keypoints(self.graph.edge_weights.new_tensor(weights)).tolist(),
            labels=labels.tolist(),
            colours=hex_colours(keypoint_colours(int(labels.max()) + 1)),
            matrix=data_url(edge_matrix_figure(weights, font_px=_MATRIX_FONT_PX)),
            command=f"autolink-gen detect {_ANY} --model {typed(self.name)}{options}",
        )

    def find(self, pixels: UInt8[ndarray, "H W 3"]) -> FoundPoints:
        """The keypoints of a picture; DivergedModelError where the graph finds none."""
        with self._lock:
            return find_keypoints(self.graph, pixels, name=self.name)


def find_keypoints(graph: AutoLink, pixels: UInt8[ndarray, "H W 3"], *, name: str) -> FoundPoints:
    """The keypoints of a picture as ``detect`` finds them, with its likelihoods, and the widths of heatmaps."""
    image = SourceImage(Path("upload"), 0, None, np.ascontiguousarray(pixels))
    (found,) = detect_images(graph, [image], with_widths=True)
    check_found(found.keypoints[None], name=name)
    assert found.widths is not None
    widths: list[float] = found.widths.round(DECIMALS).tolist()
    return FoundPoints(rounded(found.keypoints), likelihoods_of(graph, found), widths)


def likelihoods_of(graph: AutoLink, detection: Detection) -> list[float]:
    """How likely each keypoint is near its place, as ``detect`` has it."""
    assert detection.widths is not None
    likelihoods: list[float] = (graph.likelihood or UNCALIBRATED)(detection.widths).round(DECIMALS).tolist()
    return likelihoods
