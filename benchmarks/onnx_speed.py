"""Milliseconds an image of networks in PyTorch and, exported, in onnxruntime; and their differences.

Run from the repository: python benchmarks/onnx_speed.py puppets

PyTorch runs what the package runs: folded copies, its own edge map.
"""

import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
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
from autolink_gen.export.onnx_files import export_onnx
from autolink_gen.inference.generate import Gan, load_gan, save_gan
from autolink_gen.inference.transfer import Transfer, load_transfer, save_transfer
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.generator import Generator
from autolink_gen.models.graph_analysis import cluster_labels
from autolink_gen.models.transfer import TransferNetwork
from autolink_gen.ops.ranges import from_signed
from autolink_gen.recipes import read_recipe
from autolink_gen.runs import RunFolder

Inputs = dict[str, Tensor]
COLUMNS = ("run", "network", "batch", "PyTorch, ms an image", "onnxruntime, ms an image",
           "onnxruntime: times as fast", "largest difference")  # fmt: skip
_BATCHES = (1, 8)


class Subject(NamedTuple):
    """A network that is timed: the name of its file, PyTorch's way, inputs of a batch, the output that is asked for."""

    name: str
    compute: Callable[[Inputs], Tensor]
    inputs: Callable[[int], Inputs]
    output: str


def write_runs(recipe: str, folder: Path) -> list[RunFolder]:
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
    return [RunFolder.find(file) for file in files.values()]


def find_runs(name: str) -> list[RunFolder]:
    """The run of a name; the package's three where it is "puppets"."""
    found = RunFolder.find(name)
    if not found.is_shipped:
        return [found]
    return [RunFolder.find(name, kind=kind) for kind in ("graph", "gan", "transfer")]


def subjects(run: RunFolder) -> list[Subject]:
    """What is timed of a run: of a graph its detector and edge map, of others what paints."""
    if run.kind == "gan":
        return [_generator(load_gan(run))]
    if run.kind == "transfer":
        return [_transfer(load_transfer(run))]
    graph = load_graph_model(run)
    count, side, size = graph.config.num_keypoints, graph.config.input_size, graph.config.image_size
    return [
        Subject("detector", lambda given: graph.locate(given["images"]),
                lambda batch: {"images": torch.rand(batch, 3, side, side)}, "keypoints"),
        Subject("edge_map", lambda given: graph.edge_map(given["keypoints"], size),
                lambda batch: {"keypoints": _keypoints(batch, count)}, "edge_map"),
    ]  # fmt: skip


def _generator(gan: Gan) -> Subject:
    size = gan.generator.config.image_size

    def inputs(batch: int) -> Inputs:
        return {"edge_map": torch.rand(batch, 1, size, size), "z": torch.randn(batch, gan.style_size)}

    def paint(given: Inputs) -> Tensor:
        return from_signed(gan.generator.paint(given["edge_map"], gan.style(given["z"]))).clamp(0, 1)

    return Subject("generator", paint, inputs, "images")


def _transfer(transfer: Transfer) -> Subject:
    small, fine, count = transfer.image_size, transfer.usual_size, transfer.graph.config.num_keypoints

    def inputs(batch: int) -> Inputs:
        larger = {"fine": torch.rand(1, 3, fine, fine)} if fine != small else {}
        source = {"source": torch.rand(1, 3, small, small), "source_keypoints": _keypoints(1, count)}
        return {**source, "keypoints": _keypoints(batch, count), **larger}

    def move(given: Inputs) -> Tensor:
        seen = transfer.look_at(given["source"], fine=given.get("fine"), keypoints=given["source_keypoints"])
        return transfer.paint(given["keypoints"], seen)

    return Subject("transfer", move, inputs, "images")


def _keypoints(batch: int, count: int) -> Tensor:
    return torch.rand(batch, count, 2) * 2 - 1


def session(file: Path, threads: int) -> Any:
    """The file in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def rows_of(run: RunFolder, *, rounds: int, threads: int) -> Iterator[tuple[Any, ...]]:
    """The rows of a run as they are measured, in the order of `COLUMNS`."""
    with tempfile.TemporaryDirectory() as folder:
        export = export_onnx(run, out=folder)
        files = {
            file.stem: (file, difference) for file, difference in zip(export.files, export.differences, strict=True)
        }
        for name, compute, inputs, output in subjects(run):
            file, difference = files[name]
            runtime = session(file, threads)
            for batch in _BATCHES:
                given = inputs(batch)
                arrays = {key: values.numpy() for key, values in given.items()}
                ways = {
                    "PyTorch": partial(lambda values, _: compute(values), given),  # noqa: B023 - used before the next
                    "onnxruntime": partial(lambda values, _: runtime.run([output], values), arrays),  # noqa: B023
                }
                times = seconds_in_turns(ways, torch.empty(0), rounds)
                ours, theirs = (round(1000 * statistics.median(taken) / batch, 1) for taken in times.values())
                ratio = round(median_ratio(times["PyTorch"], times["onnxruntime"]), 2)
                yield run.kind, name, batch, ours, theirs, f"{ratio:.2f}", f"{difference:.0e}"


def _markdown(values: tuple[Any, ...]) -> str:
    return f"| {' | '.join(map(str, values))} |"


@click.command()
@click.argument("runs", nargs=-1)
@click.option("--recipe", default="puppets", show_default=True, help="Without RUNS: of networks with random weights.")
@click.option("--rounds", default=31, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the table here.")
@torch.inference_mode()
def main(runs: tuple[str, ...], recipe: str, rounds: int, threads: int, json_file: Path | None) -> None:
    """Time the networks of RUNS side by side, as a Markdown table; "puppets" are the package's three."""
    torch.set_num_threads(threads)
    of = ", ".join(runs) or f"random weights, recipe {recipe}"
    setting = f"{threads} threads, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, {of}"
    print(f"{setting}; median of {rounds} interleaved rounds\n\n{_markdown(COLUMNS)}\n|{'---|' * len(COLUMNS)}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        found = [run for name in runs for run in find_runs(name)] or write_runs(recipe, Path(folder))
        for run in found:
            for row in rows_of(run, rounds=rounds, threads=threads):
                print(_markdown(row), flush=True)
                rows.append(row)
    if json_file is not None:
        content = {"machine": setting, "columns": COLUMNS, "rows": rows}
        json_file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
