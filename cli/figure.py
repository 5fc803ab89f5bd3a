"""``autolink-gen figure``: figures as the paper has them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolink_gen.cli.options import Seed, echo, overwrite_option, pick_device
from autolink_gen.cli.shared import evaluated_data
from autolink_gen.common.progress import progress_bar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from autolink_gen.models.autolink import AutoLink

_PATH = click.Path(path_type=Path)
_MAX_CELLS = 2000
_BATCH = 16


@click.group()
def figure() -> None:
    """Draw figures as the paper has them."""


@figure.command()
@click.argument("run", required=False)
@click.option("--data", help="A named data set or a folder of pictures. [default: those trained on, held-out ones]")
@click.option("--data-root", type=_PATH, help="The folder where named data sets lie.")
@click.option("--rows", type=click.IntRange(min=1), default=7, show_default=True, help="Rows of pictures.")
@click.option("--cols", type=click.IntRange(min=1), default=15, show_default=True, help="Pictures in a row.")
@click.option("--size", type=click.IntRange(32, 512), default=128, show_default=True, help="Width of one in pixels.")
@click.option("--sigma2", type=click.FloatRange(min=0, min_open=True), default=5e-4, show_default=True,
              help="Squared thickness of the edges drawn.")  # fmt: skip
@click.option("--offset", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Added to each weight once divided by the largest; the paper has 0.01 for DeepFashion.")  # fmt: skip
@click.option("--points/--no-points", default=True, show_default=True, help="Draw the keypoints too.")
@click.option("--seed", type=Seed(signed=False), default=0, show_default=True, help="Which pictures are drawn by lot.")
@click.option("--out", "-o", type=click.Path(path_type=Path, dir_okay=False),
              help="PNG or JPEG to write. [default: figure.png in the run's folder]")  # fmt: skip
@overwrite_option
@click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1 ... [default: cuda where there is one]")
def grid(
    *,
    run: str | None,
    rows: int,
    cols: int,
    out: Path | None,
    overwrite: bool,
    device: str | None,
    **options: Any,
) -> None:
    """Draw a learned graph on pictures chosen by lot, as in the paper's Figures 9 to 21.

    Weights are divided by the largest and drawn thinly. RUN is a run's name or folder, or its weights; without it the
    newest run is taken.

    \b
    Example:
      autolink-gen figure grid faces --rows 7 --cols 15
    """
    import torch

    from autolink_gen.checkpoints import load_graph_model
    from autolink_gen.common.files import check_free, write_picture
    from autolink_gen.data.source import open_source
    from autolink_gen.runs import RunFolder
    from autolink_gen.viz.graphs import picture_grid

    if rows * cols > _MAX_CELLS:
        raise click.UsageError(f"{rows} rows of {cols} are more than {_MAX_CELLS} pictures; give fewer")
    if out is not None and out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise click.BadParameter(f"{out} must end in .png or .jpg", param_hint="--out")
    opened = RunFolder.find(run, kind="graph")
    path = opened.path
    file = out or (path if path.is_dir() else path.parent) / "figure.png"
    check_free(file, overwrite=overwrite)
    echo(f"model: {opened}")
    graph = load_graph_model(path, device=pick_device(device))
    data, root, settings = evaluated_data(path, options)
    size, classes = max(options["size"], graph.config.input_size), settings.get("classes", ())
    pictures = open_source(data, root=root, classes=classes).images("test", size=size, fit=graph.config.fit)
    batches = _by_lot(len(pictures), rows * cols, seed=options["seed"])  # type: ignore[arg-type]
    tiles = []
    for indices in progress_bar(batches, len(batches), "figure"):
        images = torch.stack([pictures[index] for index in indices]).float() / 255
        tiles += _overlays(graph, images, options)
    write_picture(file, picture_grid([tiles[i : i + cols] for i in range(0, len(tiles), cols)], padding=2))
    echo(f"wrote {file}: the graph on {len(tiles)} pictures of {data}")


def _by_lot(num_pictures: int, count: int, *, seed: int) -> list[list[int]]:
    """Batches of indices of pictures, each drawn at most once."""
    import numpy as np

    chosen = np.random.default_rng(seed).permutation(num_pictures)[:count].tolist()
    return [chosen[i : i + _BATCH] for i in range(0, len(chosen), _BATCH)]


def _overlays(graph: "AutoLink", images: "Tensor", options: dict[str, Any]) -> "list[np.ndarray]":
    """Pictures in [0, 1] with the graph laid over them."""
    import torch.nn.functional as F

    from autolink_gen.ops.edges import edge_map
    from autolink_gen.ops.keypoints import unlinked_keypoints
    from autolink_gen.viz.graphs import blend_edges, draw_graph

    images = images.to(graph.edge_weights)
    keypoints = graph.detect(images)
    weights = graph.edge_weights.detach()
    scaled = weights / weights.max().clamp_min(1e-12) + options["offset"]
    size = options["size"]
    drawn = edge_map(keypoints, scaled, sigma2=options["sigma2"], size=size)
    small = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    tiles = blend_edges(small, drawn)
    if not options["points"]:
        return list(tiles)
    places = keypoints.cpu().double().numpy()
    places[:, unlinked_keypoints(graph.edge_weights)] = float("nan")
    return [draw_graph(tile, points, min_side=size, dot_px=2.0) for tile, points in zip(tiles, places, strict=True)]
