"""Milliseconds an image of a recipe's networks in PyTorch and, exported, in onnxruntime; and their differences.

Run from the repository: python benchmarks/onnx_speed.py

The networks have random weights. PyTorch runs what the package runs: folded copies, its own edge map.
"""

import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click
import onnxruntime
import torch
from detector import median_ratio, seconds_in_turns
from torch import Tensor

from autolink_gen.checkpoints import load_graph_model, save_model
from autolink_gen.config import GanRunConfig, GraphRunConfig, TransferRunConfig, build
from autolink_gen.export.onnx_files import OnnxExport, export_onnx
from autolink_gen.inference.generate import Gan, load_gan, save_gan
from autolink_gen.inference.transfer import Transfer, load_transfer, save_transfer
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.generator import Generator
from autolink_gen.models.graph_analysis import cluster_labels
from autolink_gen.models.transfer import TransferNetwork
from autolink_gen.ops.ranges import from_signed
from autolink_gen.recipes import read_recipe

Inputs = dict[str, Tensor]


class Subject(NamedTuple):
    """A network that is timed: PyTorch's way, its file, inputs of a batch, its difference when it was exported."""

    name: str
    compute: Callable[[Inputs], Tensor]
    file: Path
    inputs: Callable[[int], Inputs]
    difference: float


def write_runs(recipe: str, folder: Path) -> dict[str, Path]:
    """A run of each kind with random weights."""
    torch.manual_seed(0)
    graph = AutoLink(build(GraphRunConfig, read_recipe("graph", recipe)).model)
    count = graph.config.num_keypoints
    graph.raw_edge_weights.data = (torch.randn(count, count) - 2) / graph.config.edge_weight_rate
    poses = torch.rand(8, count, 2) * 2 - 1
    files = {kind: folder / kind / "model.safetensors" for kind in ("graph", "gan", "transfer")}
    save_model(files["graph"], graph)
    save_gan(files["gan"], Gan(graph, Generator(build(GanRunConfig, read_recipe("gan", recipe)).model), poses))
    config = build(TransferRunConfig, read_recipe("transfer", recipe)).model
    labels = cluster_labels(graph.edge_weights, config.clusters)
    save_transfer(files["transfer"], Transfer(graph, TransferNetwork(config), labels, poses))
    return files


def subjects(files: dict[str, Path]) -> list[Subject]:
    """The detector and the edge map of the graph, the generator, the transfer network."""
    exports = {kind: export_onnx(file) for kind, file in files.items()}
    graph, gan = load_graph_model(files["graph"]), load_gan(files["gan"])
    count, side, size = graph.config.num_keypoints, graph.config.input_size, graph.config.image_size
    painted = gan.generator.config.image_size

    def subject(kind: str, part: str, compute: Callable[[Inputs], Tensor], inputs: Callable[[int], Inputs]) -> Subject:
        return Subject(part, compute, *_found(exports[kind], part, inputs))

    def paint(given: Inputs) -> Tensor:
        return from_signed(gan.generator(given["edge_map"], given["z"])).clamp(0, 1)

    return [
        subject("graph", "detector", lambda given: graph.locate(given["images"]),
                lambda batch: {"images": torch.rand(batch, 3, side, side)}),
        subject("graph", "edge_map", lambda given: graph.edge_map(given["keypoints"], size),
                lambda batch: {"keypoints": _keypoints(batch, count)}),
        subject("gan", "generator", paint,
                lambda batch: {"edge_map": torch.rand(batch, 1, painted, painted),
                               "z": torch.randn(batch, gan.style_size)}),
        subject("transfer", "transfer", *_transfer(load_transfer(files["transfer"]), count)),
    ]  # fmt: skip


def _transfer(transfer: Transfer, count: int) -> tuple[Callable[[Inputs], Tensor], Callable[[int], Inputs]]:
    small, fine = transfer.image_size, transfer.usual_size

    def inputs(batch: int) -> Inputs:
        larger = {"fine": torch.rand(1, 3, fine, fine)} if fine != small else {}
        source = {"source": torch.rand(1, 3, small, small), "source_keypoints": _keypoints(1, count)}
        return {**source, "keypoints": _keypoints(batch, count), **larger}

    def move(given: Inputs) -> Tensor:
        seen = transfer.look_at(given["source"], fine=given.get("fine"), keypoints=given["source_keypoints"])
        return transfer.paint(given["keypoints"], seen)

    return move, inputs


def _keypoints(batch: int, count: int) -> Tensor:
    return torch.rand(batch, count, 2) * 2 - 1


def _found(
    export: OnnxExport, part: str, inputs: Callable[[int], Inputs]
) -> tuple[Path, Callable[[int], Inputs], float]:
    number = [file.stem for file in export.files].index(part)
    return export.files[number], inputs, export.differences[number]


def session(file: Path, threads: int) -> Any:
    """The file in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


@click.command()
@click.option("--recipe", default="puppets", show_default=True)
@click.option("--rounds", default=31, show_default=True)
@click.option("--threads", default=2, show_default=True)
@torch.inference_mode()
def main(recipe: str, rounds: int, threads: int) -> None:
    """Time the networks side by side, as a Markdown table."""
    torch.set_num_threads(threads)
    print(f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, {threads} threads, recipe {recipe}, "
          f"median of {rounds} interleaved rounds\n")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        found = subjects(write_runs(recipe, Path(folder)))
        print("| network | batch | PyTorch, ms an image | onnxruntime, ms an image | times as fast | difference |")
        print("|---|---|---|---|---|---|")
        for name, compute, file, inputs, difference in found:
            runtime = session(file, threads)
            for batch in (1, 8):
                given = inputs(batch)
                arrays = {key: values.numpy() for key, values in given.items()}
                outputs = ["keypoints"] if name == "detector" else None
                ways = {
                    "PyTorch": partial(lambda values, _: compute(values), given),  # noqa: B023 - used before the next
                    "onnxruntime": partial(lambda values, _: runtime.run(outputs, values), arrays),  # noqa: B023
                }
                times = seconds_in_turns(ways, torch.empty(0), rounds)
                ours, theirs = (1000 * statistics.median(taken) / batch for taken in times.values())
                ratio = median_ratio(times["PyTorch"], times["onnxruntime"])
                print(f"| {name} | {batch} | {ours:.1f} | {theirs:.1f} | {ratio:.2f} | {difference:.0e} |")


if __name__ == "__main__":
    main()
