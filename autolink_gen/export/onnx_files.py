"""The ONNX files of a run: which there are, what they take and give, and what stands in their metadata."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autolink_gen.checkpoints import load_graph_model, read_header
from autolink_gen.common.devices import double_on_cpu
from autolink_gen.common.files import check_free, whole
from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.export.networks import ExportedDetector, ExportedGenerator, ExportedTransfer, exported_edge_map
from autolink_gen.export.onnx_parts import (
    OPSET,
    Converted,
    Input,
    Part,
    Shape,
    convert,
    noise_images,
    places,
    smooth_images,
)
from autolink_gen.inference.generate import Gan, load_gan
from autolink_gen.inference.transfer import Transfer, load_transfer
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.likelihood import UNCALIBRATED
from autolink_gen.ops.ranges import from_signed, to_signed
from autolink_gen.runs import Kind, RunFolder
from autolink_gen.viz.graphs import edges_by_weight

_FORMAT = "onnx 1"


@dataclass(frozen=True)
class OnnxExport:
    """The ONNX files that `export_onnx` wrote.

    ``differences`` are the largest ones from PyTorch on random inputs, as shares of the largest value, a file each;
    ``signatures`` say in words what a file takes and gives.
    """

    run: RunFolder
    num_keypoints: int
    files: tuple[Path, ...]
    signatures: tuple[str, ...]
    differences: tuple[float, ...]

    def __str__(self) -> str:
        lines = [f"model: {self.run}, {self.run.kind}, {self.num_keypoints} keypoints; ONNX opset {OPSET}"]
        for file, signature, difference in zip(self.files, self.signatures, self.differences, strict=True):
            lines += [f"wrote {file}, within {difference:.1e} of PyTorch", f"  {signature}"]
        return "\n".join(lines)


def export_onnx(
    run: str | os.PathLike[str] | None = None,
    *,
    kind: Kind | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> OnnxExport:
    """Write a run's networks as ONNX files, which need neither PyTorch nor this package.

    ``run`` is a graph's, a GAN's or a transfer network's; None: the newest graph. ``kind`` is needed where a name
    stands for several, as "puppets" does, which is the graph unless told. ``out`` is a folder, ``onnx`` in the run's
    unless given. Each file is compared with PyTorch by onnxruntime on random inputs, and none is written unless all
    agree. Raises MissingExtraError without the extra ``onnx``, and ValueError for files that are there already without
    ``overwrite``, or that do not agree.
    """
    folder = RunFolder.find(run, kind=kind)
    graph, parts = _parts(folder)
    target = Path(out) if out is not None else folder.output("onnx")
    files = tuple(target / part.file_name for part in parts)
    check_free(*files, overwrite=overwrite)
    version = metadata.version("autolink-gen")
    facts = {"format": _FORMAT, "version": version, **_facts(folder, graph)}
    converted = [
        convert(part, {**facts, "part": part.name}, version=version) for part in progress(parts, len(parts), "files")
    ]
    for file, result in zip(files, converted, strict=True):
        with whole(file, check=partial(_check_same, content=result.content), follow_links=out is not None) as temporary:
            temporary.write_bytes(result.content)
    return OnnxExport(
        folder,
        graph.config.num_keypoints,
        files,
        tuple(map(_signature, converted)),
        tuple(result.difference for result in converted),
    )


def _parts(run: RunFolder) -> tuple[AutoLink, list[Part]]:
    """The run's graph, and what is to be written of it."""
    if run.kind == "gan":
        gan = load_gan(run)
        size = gan.generator.config.image_size
        return gan.graph, [_detector(gan.graph), _edge_map(gan.graph, size), _generator(gan)]
    if run.kind == "transfer":
        transfer = load_transfer(run)
        return transfer.graph, [_detector(transfer.graph), _transfer(transfer)]
    graph = load_graph_model(run)
    return graph, [_detector(graph), _edge_map(graph, graph.config.image_size)]


def _detector(graph: AutoLink) -> Part:
    side = graph.config.input_size
    images = Input("images", (3, side, side), noise_images)
    names = ["heatmaps", "keypoints", "spread"]

    def detect(squares: Tensor) -> tuple[Tensor, ...]:
        return graph.detector.heatmaps(to_signed(squares)), graph.locate(squares), graph.detect_with_widths(squares)[1]

    return Part("detector", ExportedDetector(graph), detect, [images], names)


def _edge_map(graph: AutoLink, size: int) -> Part:
    draw = partial(graph.edge_map, size=size)
    return Part("edge_map", exported_edge_map(graph, size), draw, [_keypoints(graph)], ["edge_map"])


def _generator(gan: Gan) -> Part:
    size, heaviest = gan.generator.config.image_size, gan.edge_weights.max()

    def maps(generator: torch.Generator, shape: Shape) -> Tensor:
        return torch.rand(shape, generator=generator) * heaviest

    def styles(generator: torch.Generator, shape: Shape) -> Tensor:
        return torch.randn(shape, generator=generator)

    def paint(edge_map: Tensor, z: Tensor) -> Tensor:
        return from_signed(gan.generator.paint(edge_map, gan.style(z))).clamp(0, 1)

    inputs = [Input("edge_map", (1, size, size), maps), Input("z", (gan.style_size,), styles)]
    return Part("generator", ExportedGenerator(gan.generator), paint, inputs, ["images"])


def _transfer(transfer: Transfer) -> Part:
    size, fine = transfer.image_size, transfer.usual_size
    inputs = [
        Input("source", (3, size, size), smooth_images, is_batch=False),
        _keypoints(transfer.graph, "source_keypoints", is_batch=False),
        _keypoints(transfer.graph),
    ]
    if fine != size:
        inputs.append(Input("fine", (3, fine, fine), smooth_images, is_batch=False))

    def paint(source: Tensor, source_keypoints: Tensor, keypoints: Tensor, fine: Tensor | None = None) -> Tensor:
        return transfer.paint(keypoints, transfer.look_at(source, fine=fine, keypoints=source_keypoints))

    return Part("transfer", ExportedTransfer(transfer), paint, inputs, ["images"])


def _keypoints(graph: AutoLink, name: str = "keypoints", *, is_batch: bool = True) -> Input:
    return Input(name, (graph.config.num_keypoints, 2), places, is_batch)


def _facts(run: RunFolder, graph: AutoLink) -> dict[str, Any]:
    """What a program needs to know of the model beside its tensors' shapes."""
    config, line = graph.config, graph.likelihood or UNCALIBRATED
    return {
        "kind": run.kind,
        "step": read_header(run.weights).step,
        "num_keypoints": config.num_keypoints,
        "image_size": config.image_size,
        "input_size": config.input_size,
        "fit": config.fit,
        "likelihood": [line.widths, line.likelihoods],
        "edges": [] if config.drawing == "points" else edges_by_weight(double_on_cpu(graph.edge_weights).numpy()),
    }


def _signature(result: Converted) -> str:
    def described(names: Sequence[str]) -> str:
        return ", ".join(f"{name} ({', '.join(map(str, result.shapes[name]))})" for name in names)

    return f"{described([entry.name for entry in result.part.inputs])} -> {described(result.part.outputs)}"


def _check_same(path: Path, *, content: bytes) -> None:
    if path.read_bytes() != content:
        raise OSError("what was written is not what is read back")
