"""Clusters of a graph's keypoints that are left out, such as the background (AutoLink, Figure 7c)."""

from dataclasses import dataclass

from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.graph_analysis import remaining_keypoints
from autolink_gen.ops.keypoints import unlinked_keypoints

DROP = "--drop-cluster"
DEFAULT_CLUSTERS = 2  # the object and the background


class ClusterError(ValueError):
    """Raised for clusters that cannot be left out; the message says why."""


@dataclass(frozen=True)
class ClusterChoice:
    """The graph's keypoints split into ``clusters``, of which the ``dropped`` ones, in order, are left out."""

    clusters: int
    dropped: tuple[int, ...]

    def __str__(self) -> str:
        numbers = ", ".join(map(str, self.dropped))
        return f"cluster{'s' if len(self.dropped) > 1 else ''} {numbers} of {self.clusters}"

    @property
    def label(self) -> str:
        """The choice as a part of a folder's name."""
        return f"without-{'-'.join(map(str, self.dropped))}-of-{self.clusters}"

    @property
    def options(self) -> str:
        """The command-line options that make this choice."""
        return " ".join([f"--clusters {self.clusters}", *(f"{DROP} {number}" for number in self.dropped)])


def without_clusters(graph: AutoLink, choice: ClusterChoice | None) -> AutoLink:
    """The graph without the edges to the keypoints that are left out; ClusterError where that cannot be."""
    if choice is None:
        return graph
    try:
        remaining = remaining_keypoints(graph.edge_weights, choice.clusters, choice.dropped)
        return graph.without_keypoints(sorted(set(range(graph.config.num_keypoints)) - set(remaining.tolist())))
    except ValueError as error:
        raise ClusterError(str(error)) from None


def without_text(graph: AutoLink, choice: ClusterChoice | None = None) -> str:
    """A remark on the keypoints that are left out of a graph, empty where none is."""
    numbers = ", ".join(map(str, unlinked_keypoints(graph.edge_weights).tolist()))
    choice_text = f"{choice}, keypoints {numbers}" if choice else f"keypoints {numbers}"
    return f", without {choice_text}" if numbers else ""
