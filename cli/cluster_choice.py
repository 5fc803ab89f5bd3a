"""`--clusters` and `--drop-cluster`: what lies on the background is left out of a graph (AutoLink, Figure 7c)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from autolink_gen.models.autolink import AutoLink

Command = TypeVar("Command", bound=Callable[..., Any])
DEFAULT_CLUSTERS = 2  # the object and the background
_DROP = "--drop-cluster"


@dataclass(frozen=True)
class ClusterChoice:
    """The graph's keypoints parted into ``clusters``, of which the ``dropped`` ones, in order, are left out."""

    clusters: int
    dropped: tuple[int, ...]

    def __str__(self) -> str:
        named = ", ".join(map(str, self.dropped))
        return f"cluster{'s' if len(self.dropped) > 1 else ''} {named} of {self.clusters}"

    @property
    def label(self) -> str:
        """It as a part of a folder's name."""
        return f"without-{'-'.join(map(str, self.dropped))}-of-{self.clusters}"

    @property
    def options(self) -> str:
        """What to type for it."""
        return " ".join([f"--clusters {self.clusters}", *(f"{_DROP} {number}" for number in self.dropped)])


def drop_options(command: Command) -> Command:
    """Add ``--clusters`` and ``--drop-cluster`` to a command that works with a graph."""
    drop = click.option(_DROP, "dropped_clusters", type=int, multiple=True, metavar="C",
                        help="Leave the keypoints of cluster C out, as view-graph --clusters numbers them; "
                        "repeat it for several.")  # fmt: skip
    clusters = click.option("--clusters", type=click.IntRange(1), metavar="N",
                            help=f"How many clusters {_DROP} counts. [default: {DEFAULT_CLUSTERS}]")  # fmt: skip
    return clusters(drop(command))


def cluster_choice(clusters: int | None, dropped: tuple[int, ...]) -> ClusterChoice | None:
    """What is to be left out, None where nothing is; UsageError for a number of clusters that serves nothing."""
    if dropped:
        return ClusterChoice(clusters or DEFAULT_CLUSTERS, tuple(sorted(set(dropped))))
    if clusters is not None:
        raise click.UsageError(
            f"--clusters {clusters} leaves nothing out by itself: name a cluster with {_DROP}, or look at them with "
            f"autolink-gen view-graph --clusters {clusters}"
        )
    return None


def without_clusters(graph: "AutoLink", choice: ClusterChoice | None) -> "AutoLink":
    """The graph without the edges to the keypoints that are left out; BadParameter where that cannot be."""
    from autolink_gen.graph_analysis import keypoints_left

    if choice is None:
        return graph
    try:
        left = keypoints_left(graph.edge_weights, choice.clusters, choice.dropped)
        return graph.without_keypoints(sorted(set(range(graph.config.num_keypoints)) - set(left.tolist())))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=_DROP) from None


def left_out(graph: "AutoLink") -> list[int]:
    """The keypoints without edges, which count for nothing."""
    from autolink_gen.ops.keypoints import unlinked_keypoints

    numbers: list[int] = unlinked_keypoints(graph.edge_weights).tolist()
    return numbers


def without_text(graph: "AutoLink", choice: ClusterChoice | None = None) -> str:
    """A remark on the keypoints that are left out of a graph, nothing where none is."""
    numbers = ", ".join(map(str, left_out(graph)))
    what = f"{choice}, keypoints {numbers}" if choice else f"keypoints {numbers}"
    return f", without {what}" if numbers else ""
