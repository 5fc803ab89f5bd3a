"""Weights in safetensors with the model's configuration in the header."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from autolink_gen.common.devices import usable_device
from autolink_gen.common.digests import file_sha256
from autolink_gen.common.files import BadFileError, reading, whole
from autolink_gen.common.text import shown
from autolink_gen.config import build, to_dict
from autolink_gen.models.autolink import FROZEN, AutoLink, AutoLinkConfig
from autolink_gen.models.official_names import official_names
from autolink_gen.ops.likelihood import LikelihoodMap
from autolink_gen.pretrained.hub import fetch_from_hub, is_on_hub
from autolink_gen.pretrained.shipped import is_prefixed, shipped_weights

Model = TypeVar("Model", bound=nn.Module)
FORMAT = "autolink-gen 1"
_HEADER_KEY = "autolink-gen"
WEIGHTS_NAME = "model.safetensors"
GRAPH_NAME = "graph.safetensors"  # in the run of a generator: the graph that it stands on
GRAPH_SHA256 = "graph_sha256"  # in a configuration: the digest of the file GRAPH_NAME, which has the graph's weights
_TRAINING_COMMANDS = {"graph": "autolink-gen learn-graph"}


class Header(NamedTuple):
    """The header of a file of weights; ``step``: how long it was trained, None where unknown.

    ``likelihood`` of the graph's keypoints: the fields of its `LikelihoodMap`; None where it was not calibrated.
    """

    format: str | None = None
    kind: str | None = None
    config: dict[str, Any] | None = None
    step: int | None = None
    likelihood: dict[str, Any] | None = None


def write_weights(path: Path, tensors: Mapping[str, Tensor], header: dict[str, str] | None = None) -> None:
    """Write a safetensors file, equal to the last byte for equal tensors and a header of one key at most.

    Raises OSError where it cannot be written.
    """
    ready = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    # save_file would write under a name of its own, which stays when it is killed, and for its owner's eyes alone.
    try:
        path.write_bytes(save(ready, metadata=header))
    except SafetensorError as error:
        raise OSError(str(error)) from error


def save_model(
    path: Path, model: AutoLink, *, weights: Mapping[str, Tensor] | None = None, step: int | None = None
) -> None:
    """Write a model that describes itself: weights (its own, or those given), configuration, step, likelihood."""
    tensors = model.state_dict() if weights is None else weights
    # Frozen weights were rounded to half precision when they were taken over: they lose nothing here.
    tensors = {name: value.half() if name.startswith(FROZEN) else value for name, value in tensors.items()}
    config, more = to_dict(model.config), _likelihood_fields(model)
    write_described(path, tensors, kind="graph", config=config, step=step, more=more)


def _likelihood_fields(graph: AutoLink) -> dict[str, Any]:
    """What a header, also that of a GAN, says of the likelihood of its graph's keypoints."""
    return {} if graph.likelihood is None else {"likelihood": asdict(graph.likelihood)}


def write_described(
    path: Path,
    weights: Mapping[str, Tensor],
    *,
    kind: str,
    config: Mapping[str, Any],
    step: int | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write weights with their kind, their configuration and their step in the header, as a whole or not at all.

    ``more`` are further fields of the `Header`.

    Raises ValueError for weights that are not finite, and OSError where the file cannot be written.
    """
    if (name := first_not_finite(weights)) is not None:
        raise ValueError(f"{path} is not written: {name} holds numbers that are not finite, training has diverged")
    text = json.dumps({"format": FORMAT, "kind": kind, "config": config, "step": step, **(more or {})}, sort_keys=True)
    # One key: the order of several would differ from file to file.
    with whole(path, check=read_weights) as temporary:
        write_weights(temporary, weights, {_HEADER_KEY: text})


def read_header(path: Path) -> Header:
    """Read a safetensors file's header; ValueError for another file or a damaged header."""
    with _reading(path), safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    return header_of(metadata, source=path)


def header_of(metadata: Mapping[str, str], *, source: str | Path) -> Header:
    """The header that a file's ``metadata`` hold, in today's form or in that of old; empty where it has none.

    Raises ValueError, which names the ``source``, for one that is damaged.
    """
    with _reading(source):
        if _HEADER_KEY in metadata:
            values = json.loads(metadata[_HEADER_KEY])
            header = Header(*(values.get(name) for name in Header._fields))
        else:  # three keys, of which each is text
            config = json.loads(metadata["config"]) if "config" in metadata else None
            header = Header(metadata.get("format"), metadata.get("kind"), config)
        for name, kind in (("format", str), ("kind", str), ("config", dict), ("step", int), ("likelihood", dict)):
            value = getattr(header, name)
            if value is not None and not isinstance(value, kind):
                raise ValueError(f"its header has {shown(value)} in the place of {name}")
        return header


def read_weights(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file; raises ValueError that names a file which is none."""
    with _reading(path), safe_open(path, framework="pt") as file:
        return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _reading(source: str | Path) -> AbstractContextManager[None]:
    """The net of files of weights."""
    return reading(source, "safetensors file", remedy="it is damaged: take another copy")


def load_graph_model(path: str | os.PathLike[str], *, device: torch.device | str = "cpu") -> AutoLink:
    """The graph model of a run, by name, folder or ``model.safetensors``, in eval mode, ready to detect.

    "puppets" is the model that comes with the package, unless a run is called so. Raises ValueError where there is
    none, where the file is of another kind, or where weights are missing.
    """
    device = usable_device(str(device))
    file, config, tensors = read_described(path, kind="graph")
    model = build_model(lambda: AutoLink(build(AutoLinkConfig, config)), tensors, source=str(file))
    model.likelihood = _likelihood_of(file)
    with torch.random.fork_rng(devices=[]):  # folded layers draw weights in vain, too
        return model.to(device).prepare_for_inference()


def _likelihood_of(file: Path) -> LikelihoodMap | None:
    """The likelihood in a header, or in that of the graph beside it, if there is one; ValueError for a damaged one."""
    values = read_header(file).likelihood
    if values is None and (beside := file.with_name(GRAPH_NAME)).is_file():
        values = read_header(beside).likelihood
    if values is None:
        return None
    with _reading(file):
        return LikelihoodMap(*(tuple(map(float, values[name])) for name in ("widths", "likelihoods")))


def read_described(path: str | os.PathLike[str], *, kind: str) -> tuple[Path, dict[str, Any], dict[str, Tensor]]:
    """File, configuration and tensors of a model of ``kind``, of a run's folder or a ``model.safetensors``.

    Raises ValueError where there is none, where the file is of another kind, or where the graph that it shares is not
    beside it.
    """
    file = _weights_file(path, kind)
    metadata, tensors = read_weights(file)
    config = _described_config(header_of(metadata, source=file), file, kind)
    if GRAPH_SHA256 in config:
        tensors |= _shared_graph(file, config[GRAPH_SHA256])
    return file, config, tensors


def _shared_graph(file: Path, sha256: object) -> dict[str, Tensor]:
    """The weights of the graph beside a generator's file, under the names that a generator has for them."""
    graph = file.with_name(GRAPH_NAME)
    if not graph.is_file() or file_sha256(graph) != sha256:
        raise BadFileError(
            f"{file} shares the weights of its graph with {graph.name}, which is not beside it or is another one: "
            f"copy both from where they came"
        )
    return {f"graph.{name}": value for name, value in read_weights(graph)[1].items()}


def read_described_header(path: str | os.PathLike[str], *, kind: str | None = None) -> tuple[Path, Header]:
    """The file and the header of a model, of ``kind`` if one is given, without its tensors.

    Raises ValueError as `read_described` does.
    """
    file = _weights_file(path, kind)
    header = read_header(file)
    _described_config(header, file, kind)
    return file, header


def _weights_file(path: str | os.PathLike[str], kind: str | None) -> Path:
    """The file of weights in a run's folder, or the file itself.

    A name alone is that of a run of its kind in runs/, or else of a model of the package.
    """
    file, shipped = Path(fetch_from_hub(path) if is_on_hub(path) else path), shipped_weights(path, kind)
    if shipped is not None and is_prefixed(path):
        return shipped
    if kind is not None and file.name == str(path) and not (file.is_file() or (file / WEIGHTS_NAME).is_file()):
        run = Path("runs") / kind / file
        file = run if run.is_dir() else shipped or file
    if file.is_dir():
        file = file / (GRAPH_NAME if kind == "graph" and (file / GRAPH_NAME).is_file() else WEIGHTS_NAME)
    if not file.is_file():
        raise ValueError(f"there are no weights at {file}; give a run's folder or its {WEIGHTS_NAME}")
    if file.suffix != ".safetensors":
        raise ValueError(f"{file} is no .safetensors file; for the authors' .ckpt use autolink-gen import-official")
    return file


def _described_config(header: Header, file: Path, kind: str | None) -> dict[str, Any]:
    """The model's configuration; ValueError for a header of another version or, where one is given, another kind."""
    command = training_command(kind or "graph")
    if header.format != FORMAT and file.parent.name.startswith("step-"):
        raise ValueError(f"{file} is a part of a save, from which training goes on; give the run's folder in its place")
    if header.format != FORMAT:
        others = ", or what import-official wrote" if kind in ("graph", None) else ""
        raise ValueError(
            f"{file} was not written by this version of autolink-gen (no {FORMAT!r} in its header): give a run of "
            f"{command.removeprefix('autolink-gen ')}, its model.safetensors{others}"
        )
    if kind not in (header.kind, None):
        raise ValueError(f"{file} holds a {shown(header.kind)} model, not a {kind} model; {command} makes one")
    if header.config is None:
        raise ValueError(f"{file} does not say how its model is made (no configuration): take another copy")
    return header.config


def training_command(kind: str) -> str:
    """The command that makes a run of ``kind``."""
    return _TRAINING_COMMANDS.get(kind, f"autolink-gen train-{kind}")


def build_model(make: Callable[[], Model], tensors: Mapping[str, Tensor], *, source: str) -> Model:
    """The model that ``make`` makes, with these weights; raises ValueError, which names the ``source``, if they misfit.

    It is made without memory first and compared with the weights: a header may ask for a network of any size.
    """
    net = reading(source, "model", remedy="it is damaged or of another kind: take another copy")
    with net, torch.random.fork_rng(devices=[]):  # new layers draw weights in vain: whoever loads draws on undisturbed
        with torch.device("meta"):
            check_state(make().state_dict(), tensors, source=source)
        check_finite(tensors, source=source)
        model = make()
        model.load_state_dict(dict(tensors))
    return model


def check_state(expected: Mapping[str, Tensor], tensors: Mapping[str, Any], *, source: str) -> None:
    """ValueError that says which weights are missing, unknown, or of another shape or type than expected."""
    missing, extra = sorted(expected.keys() - tensors.keys()), sorted(map(str, tensors.keys() - expected.keys()))
    wrong = sorted(name for name in expected.keys() & tensors.keys() if not _fits(expected[name], tensors[name]))
    if missing or extra or wrong:
        raise BadFileError(
            f"{source} does not hold this model's weights: {len(missing)} missing {missing[:3]}, "
            f"{len(extra)} unknown {shown(extra[:3])}, {len(wrong)} of another shape or type {wrong[:3]}; "
            f"it is damaged or of another kind, take another copy"
        )


def check_finite(tensors: Mapping[str, Tensor], *, source: str) -> None:
    """BadFileError where weights hold numbers that are not finite, as those of a run that diverged may."""
    if (name := first_not_finite(tensors)) is not None:
        raise BadFileError(
            f"{source} cannot be used: {name} holds numbers that are not finite, so its training diverged; take an "
            f"earlier copy, or train anew with a lower learning rate (--fresh --set optimiser.lr=...)"
        )


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor that holds a number that is not finite, None where there is none."""
    return next((name for name, value in tensors.items() if not _is_finite(value)), None)


def _is_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value if value.itemsize > 1 else value.float()).all())


def _fits(expected: Tensor, value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and value.shape == expected.shape
        and value.dtype.is_floating_point == expected.dtype.is_floating_point
        and not value.dtype.is_complex
    )


def load_generator(
    path: str | os.PathLike[str], *, kind: str, make: Callable[[dict[str, Any], AutoLink, Tensor], Model]
) -> tuple[Path, Model]:
    """The file and the model of a generator that carries its ``graph`` and some training ``poses``.

    ``make`` makes it of its configuration, its graph and its poses. Raises ValueError as `read_described` does, where
    weights are missing, and where poses are not those of the graph's keypoints.
    """
    file, config, tensors = read_described(path, kind=kind)
    poses = tensors.get("poses", torch.empty(0)).float()  # weights that are shipped are of half precision

    model = build_model(
        lambda: make(config[kind], AutoLink(build(AutoLinkConfig, config["graph"])), poses), tensors, source=str(file)
    )
    graph = model.get_submodule("graph")
    assert isinstance(graph, AutoLink)
    graph.likelihood = _likelihood_of(file)
    if poses.numel() and (poses.ndim != 3 or poses.shape[1:] != (graph.config.num_keypoints, 2)):
        raise BadFileError(f"{file} has poses of the shape {tuple(poses.shape)}: it is damaged, take another copy")
    return file, model


def save_generator(
    path: Path, model: nn.Module, graph: AutoLink, *, kind: str, config: object, step: int | None
) -> None:
    """Write a generator's and its graph's weights, both configurations, the step and the likelihood to one file."""
    configs = {kind: to_dict(config), "graph": to_dict(graph.config)}
    write_described(path, model.state_dict(), kind=kind, config=configs, step=step, more=_likelihood_fields(graph))


def import_official(state_dict: Mapping[str, Tensor], hyper_parameters: Mapping[str, Any]) -> AutoLink:
    """The authors' weights as an :class:`AutoLink` in eval mode.

    ``state_dict`` and ``hyper_parameters`` are what their Lightning checkpoint holds under these names; the
    weights of their perceptual loss are left out. Raises ValueError for a checkpoint of another kind.
    """
    try:
        values = {
            "num_keypoints": int(hyper_parameters["n_parts"]),
            "image_size": int(hyper_parameters["image_size"]),
            "sigma2": float(hyper_parameters["thick"]),
            "mask_grid": int(hyper_parameters.get("block", 16)),
            "mask_ratio": float(hyper_parameters.get("missing", 0.8)),
            "edge_weight_rate": float(hyper_parameters.get("sklr", 512.0)),
            "fit": "stretch",
        }
    except KeyError as error:
        raise ValueError(f"this is no AutoLink checkpoint: its hyper_parameters have no {error}") from None
    except TypeError as error:
        raise ValueError(f"its hyper_parameters are not those of AutoLink: {error}") from None
    config = build(AutoLinkConfig, values)
    names = official_names()
    ignored = ("vgg_loss.", "encoder.detector.coord")
    tensors = {names.get(name, name): value for name, value in state_dict.items() if not name.startswith(ignored)}
    return build_model(lambda: AutoLink(config), tensors, source="the checkpoint").eval()
