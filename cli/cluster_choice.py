"""`--clusters` and `--drop-cluster`: what lies on the background is left out of a graph (AutoLink, Figure 7c)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from autolink_gen.clusters import ClusterChoice
    from autolink_gen.models.autolink import AutoLink

Command = TypeVar("Command", bound=Callable[..., Any])
_DEFAULT_CLUSTERS = 2  # the object and the background
_DROP = "--drop-cluster"


def drop_options(command: Command) -> Command:
    """Add ``--clusters`` and ``--drop-cluster`` to a command that works with a graph."""
    drop = click.option(_DROP, "dropped_clusters", type=int, multiple=True, metavar="C",
                        help="Leave the keypoints of cluster C out, as view-graph --clusters numbers them; "
                        "repeat it for several.")  # fmt: skip
    clusters = click.option("--clusters", type=click.IntRange(1), metavar="N",
                            help=f"How many clusters {_DROP} counts. [default: {_DEFAULT_CLUSTERS}]")  # fmt: skip
    return clusters(drop(command))


def cluster_choice(clusters: int | None, dropped: tuple[int, ...]) -> "ClusterChoice | None":
    """What is to be left out, None where nothing is; UsageError for a number of clusters that serves nothing."""
    from autolink_gen.clusters import ClusterChoice

    if dropped:
        return ClusterChoice(clusters or _DEFAULT_CLUSTERS, tuple(sorted(set(dropped))))
    if clusters is not None:
        raise click.UsageError(
            f"--clusters {clusters} leaves nothing out by itself: name a cluster with {_DROP}, or look at them with "
            f"autolink-gen view-graph --clusters {clusters}"
        )
    return None


@contextmanager
def drop_errors() -> Iterator[None]:
    """What is wrong with the clusters to leave out is wrong with the option that names them."""
    from autolink_gen.clusters import ClusterError

    try:
        yield
    except ClusterError as error:
        raise click.BadParameter(str(error), param_hint=_DROP) from None


def left_of(graph: "AutoLink", choice: "ClusterChoice | None") -> "AutoLink":
    """The graph without the clusters that are left out; BadParameter where that cannot be."""
    from autolink_gen.clusters import without_clusters

    with drop_errors():
        return without_clusters(graph, choice)
