"""`autolink-gen view-graph`: a learned graph as images and as a table."""

from pathlib import Path

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import command
from autolink_gen.cli.completion import data_sets, runs_of
from autolink_gen.cli.options import echo, naming_option, overwrite_option

_FOLDER = click.Path(path_type=Path, file_okay=False)


@command("view-graph")
@click.argument("run", required=False, shell_complete=runs_of("graph", "gan", "transfer"))
@click.option("--out", metavar="DIR", type=_FOLDER, help="Folder to write to. "
              "[default: graph in the run's; graph-2-clusters with --clusters 2; graph-without-1-of-2 where cluster 1 "
              "of 2 is left out]")  # fmt: skip
@overwrite_option
@click.option(
    "--data",
    metavar="DATA",
    shell_complete=data_sets,
    help="Data set or folder for the mean pose. [default: the run's own]",
)
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
    mean pose of images (keypoints on a circle where the run has none of its own); edges.csv, all edges, the
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
    with naming_option("--drop-cluster", verbs.ClusterError):
        view = verbs.view_graph(
            run,
            out=out,
            data=data,
            data_root=data_root,
            clusters=clusters,
            drop_clusters=dropped_clusters,
            threshold=threshold,
            overwrite=overwrite,
        )
    echo(*str(view).split("\n"))
