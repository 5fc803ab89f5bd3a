"""Networks as ONNX: converted by PyTorch's exporter, described, and compared with PyTorch by onnxruntime."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from autolink_gen.common.extras import needs

OPSET = 18  # the first that resizes with antialiasing; later runtimes read it too
METADATA_KEY = "autolink-gen"
TOLERANCE = 1e-4  # of the largest value that PyTorch gives
_PRODUCER = "autolink-gen"
_BATCH = "batch"
_TRACED_BATCH = 3  # sizes 0 and 1 would be taken as fixed
_CHECKED_BATCHES = (1, 4)
_BLOBS = 16  # pixels

Shape = tuple[int, ...]
Draw = Callable[[torch.Generator, Shape], Tensor]
Compute = Callable[..., Tensor | tuple[Tensor, ...]]


@dataclass(frozen=True)
class Input:
    """An input of a file: its shape without the batch, random values to check with, and whether it comes in batches."""

    name: str
    shape: Shape
    draw: Draw
    is_batch: bool = True

    def sample(self, generator: torch.Generator, batch: int) -> Tensor:
        """Random values, of a batch or of a single one."""
        return self.draw(generator, (batch if self.is_batch else 1, *self.shape))


@dataclass(frozen=True)
class Part:
    """One network of a run, to be one file: what it takes, what it gives, and what computes the same in PyTorch."""

    name: str
    network: nn.Module
    reference: Compute
    inputs: Sequence[Input]
    outputs: Sequence[str]

    @property
    def file_name(self) -> str:
        """The file's name."""
        return f"{self.name}.onnx"


@dataclass(frozen=True)
class Converted:
    """A part as ONNX, and the largest difference from PyTorch as a share of the largest value."""

    part: Part
    content: bytes
    difference: float
    shapes: Mapping[str, Sequence[int | str]]


def noise_images(generator: torch.Generator, shape: Shape) -> Float[Tensor, "B 3 H W"]:
    """Random images in [0, 1], each pixel by itself."""
    return torch.rand(shape, generator=generator)


def smooth_images(generator: torch.Generator, shape: Shape) -> Float[Tensor, "B 3 H W"]:
    """Random images in [0, 1] of soft blobs, for what is warped.

    Places in the source are rounded to some 2e-6, in PyTorch as in onnxruntime: a thousandth of a pixel at most, but of
    white noise 3e-4 of its range, for neighbouring pixels have nothing in common there.
    """
    small = torch.rand(*shape[:2], _BLOBS, _BLOBS, generator=generator)
    return F.interpolate(small, shape[2:], mode="bilinear", align_corners=False)


def places(generator: torch.Generator, shape: Shape) -> Float[Tensor, "B K 2"]:
    """Random keypoints all over the image."""
    return torch.rand(shape, generator=generator) * 2 - 1


def convert(part: Part, facts: Mapping[str, Any], *, version: str) -> Converted:
    """The part as ONNX with ``facts`` in its metadata, compared with PyTorch on random inputs of two batch sizes.

    Raises MissingExtraError without the packages, and ValueError where the results differ by more than `TOLERANCE`.
    """
    with needs("onnx", "ONNX export"):
        import onnx
        import onnxruntime  # noqa: F401 - to be known before anything that takes long
        import onnxscript  # noqa: F401
    network = part.network.eval()
    generator = torch.Generator().manual_seed(0)
    inputs = tuple(entry.sample(generator, _TRACED_BATCH) for entry in part.inputs)
    dynamic = tuple({0: torch.export.Dim(_BATCH)} if entry.is_batch else None for entry in part.inputs)
    with torch.no_grad():
        traced = torch.export.export(network, inputs, dynamic_shapes=dynamic, strict=False)
        program = torch.onnx.export(
            traced,
            dynamo=True,
            opset_version=OPSET,
            input_names=[entry.name for entry in part.inputs],
            output_names=list(part.outputs),
            verbose=False,
        )
    assert program is not None  # which it is where a file is named
    model = program.model_proto
    _describe(model, facts, version=version)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    shapes = {value.name: _shape(value) for value in (*model.graph.input, *model.graph.output)}
    return Converted(part, content, _difference(part, content, generator), shapes)


def _describe(model: Any, facts: Mapping[str, Any], *, version: str) -> None:
    """Facts into the metadata; out with the exporter's notes, which name the folders of this machine."""
    import onnx

    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for values in (model.graph.input, model.graph.output, model.graph.initializer):
        for value in values:
            del value.metadata_props[:]
    del model.graph.value_info[:], model.graph.metadata_props[:], model.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = _BATCH
    model.producer_name, model.producer_version = _PRODUCER, version
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(facts)})


def _shape(value: Any) -> tuple[int | str, ...]:
    return tuple(size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim)


def _difference(part: Part, content: bytes, generator: torch.Generator) -> float:
    """The largest difference of onnxruntime's results, as a share of PyTorch's largest value of the same output."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in _CHECKED_BATCHES:
        inputs = {entry.name: entry.sample(generator, batch) for entry in part.inputs}
        with torch.no_grad():
            found = part.reference(*inputs.values())
        expected = found if isinstance(found, tuple) else (found,)
        given = session.run(list(part.outputs), {name: values.numpy() for name, values in inputs.items()})
        for name, ours, theirs in zip(part.outputs, expected, given, strict=True):
            share = _share(ours, torch.from_numpy(theirs))
            if not share <= TOLERANCE:  # written so that NaN does not pass
                raise ValueError(
                    f"{part.file_name} is not written: its {name} differ from PyTorch's by {share:.2g} of the largest "
                    f"value, more than {TOLERANCE:g}; try other versions of torch, onnxscript and onnxruntime"
                )
            worst = max(worst, share)
    return worst


def _share(expected: Tensor, found: Tensor) -> float:
    if found.shape != expected.shape:
        raise AssertionError(f"shapes differ: {tuple(found.shape)} and {tuple(expected.shape)}")
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny))
