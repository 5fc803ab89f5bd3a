"""Weights and models: our safetensors, saves of runs, the authors' checkpoints, feature weights, bare pickles."""

import argparse
import gzip
import io
import pickle
import tarfile
from collections import OrderedDict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from fuzz_kinds import Kind, Sample
from pickle_soup import change_pickle, change_zip
from safetensors.torch import save
from structures import change_safetensors, change_tar, inside_gzip, inside_tar

from autolink_gen.checkpoints import load_graph_model, save_model
from autolink_gen.data.published.pandas_pickle import read_frame
from autolink_gen.inference.generate import Gan, load_gan, save_gan
from autolink_gen.inference.transfer import Transfer, load_transfer, save_transfer
from autolink_gen.losses.perceptual import ConvFeatures
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.models.generator import GanConfig, Generator
from autolink_gen.models.official_names import official_names
from autolink_gen.models.transfer import TransferConfig, TransferNetwork
from autolink_gen.official import read_official
from autolink_gen.pretrained.files import FeatureNetwork, read_feature_weights, unpickle_arrays
from autolink_gen.training.saves import read_newest, read_save, write_save

_SHAPES: dict[str, tuple[int, ...]] = {
    "features.0.weight": (2, 3, 1, 1),
    "features.0.bias": (2,),
    "features.3.weight": (1, 2, 3, 3),
    "features.3.bias": (1,),
}


@cache
def tiny_graph() -> AutoLink:
    """A graph learner of as few weights as there can be."""
    torch.default_generator.manual_seed(0)  # torch.manual_seed reads its own source, for CUDA
    config = AutoLinkConfig(num_keypoints=2, image_size=64, width=0.002, decoder_width=0.002)
    return AutoLink(config).eval()


def models() -> list[Sample]:
    """One model of each kind, in the file that describes itself."""
    graph = tiny_graph()
    generator = Generator(GanConfig(image_size=64, width=0.002, style_size=2))
    network = TransferNetwork(TransferConfig(image_size=64, width=0.002, appearance_width=0.002))
    poses = torch.zeros(1, 2, 2)
    with TemporaryDirectory() as folder:
        files = {name: Path(folder) / name for name in ("graph.safetensors", "gan.safetensors", "transfer.safetensors")}
        save_model(files["graph.safetensors"], graph)
        save_gan(files["gan.safetensors"], Gan(graph, generator, poses))
        labels = torch.zeros(2, dtype=torch.long)
        save_transfer(files["transfer.safetensors"], Transfer(graph, network, labels, poses))
        return [Sample(name, file.read_bytes()) for name, file in files.items()]


def read_model(home: Path, file: Path) -> None:
    """The model in use."""
    load = {"graph": load_graph_model, "gan": load_gan, "transfer": load_transfer}[file.stem]
    model = load(file)
    assert all(not value.is_meta for value in model.state_dict().values())


def _state() -> dict[str, object]:
    state = {"step": 7, "loss": 0.5, "betas": (0.9, 0.99), "names": ["a", None], "weights": torch.arange(6.0)}
    shared = torch.arange(12, dtype=torch.int64).reshape(3, 4)
    return {**state, "adam": {"exp": shared.t(), "half": shared[:, 1:].half()}, "list": [torch.tensor(True)]}


def saves() -> list[Sample]:
    """The files of a save."""
    with TemporaryDirectory() as folder:
        written = write_save(Path(folder), 7, {"a": torch.ones(3)}, _state())
        files = [Sample(f"checkpoints/step-00000007/{file.name}", file.read_bytes()) for file in written.iterdir()]
    return sorted(files)


def lay_saves(home: Path) -> None:
    """An older save beside the one that is damaged."""
    checkpoints = home / "checkpoints"
    write_save(checkpoints, 5, {"a": torch.zeros(3)}, {"step": 5})
    write_save(checkpoints, 7, {"a": torch.ones(3)}, _state())


def read_saves(home: Path, file: Path) -> None:
    """The save itself, and then the newest that can be read."""
    newest = read_newest(home / "checkpoints")
    assert newest is not None
    read_save(file.parent)


def read_bare_state(home: Path, file: Path) -> None:
    """A training state without a checksum beside it."""
    read_save(home)


def _torch_file(content: object, **options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def states() -> list[Sample]:
    """Training states in both forms that torch has had."""
    return [
        Sample("training_state.pt", _torch_file(_state())),
        Sample("training_state.pt", _torch_file(_state(), _use_new_zipfile_serialization=False)),
    ]


def lay_weights(home: Path) -> None:
    """The other file of a save, whole."""
    (home / "model.safetensors").write_bytes(save({"a": torch.ones(3)}))


def officials() -> list[Sample]:
    """The authors' checkpoint of a tiny network, in both forms, with each form of its parameters."""
    theirs = {ours: official for official, ours in official_names().items()}
    state = OrderedDict((theirs.get(name, name), value) for name, value in tiny_graph().state_dict().items())
    parameters = {"n_parts": 2, "image_size": 64, "thick": 5e-5, "block": 16, "missing": 0.8}
    content = {"state_dict": state, "hyper_parameters": parameters, "epoch": 3, "callbacks": {"a": [1, (2, None)]}}
    named = {**content, "hyper_parameters": argparse.Namespace(**parameters), "path": Path("logs/x")}
    slim = {**content, "state_dict": OrderedDict(list(state.items())[:4])}
    # Most lack a parameter: they are refused before a network of the authors' full size is made.
    short = {**slim, "hyper_parameters": {"n_parts": 2, "thick": 5e-5}}
    bare = {**named, "state_dict": slim["state_dict"], "hyper_parameters": argparse.Namespace(thick=5e-5)}
    plain: dict[str, object] = {"state_dict": {}, "hyper_parameters": {}}
    forms = ((short, True), (short, False), (bare, True), (bare, False), (plain, True), (plain, False), (slim, True))
    return [Sample("authors.ckpt", _torch_file(one, _use_new_zipfile_serialization=new)) for one, new in forms]


def read_authors(home: Path, file: Path) -> None:
    """The authors' checkpoint as a model."""
    read_official(file)


class _TinyFeatures(ConvFeatures):
    """The names and shapes of a feature network of a few weights."""

    @classmethod
    def tensor_shapes(cls) -> dict[str, tuple[int, ...]]:
        return _SHAPES


class _AnyDigest(str):
    """Equal to every digest, so that the reader behind the check is reached."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def network(*, digest: str | None = None) -> FeatureNetwork:
    """A feature network of a few weights; without a digest its checkpoint may be any."""
    return FeatureNetwork(
        name="tiny",
        features=_TinyFeatures,
        flax_name="Tiny_0",
        checkpoint="tiny.ckpt",
        checkpoint_sha256=_AnyDigest("0" * 64) if digest is None else digest,
        torchvision_file="tiny.pth",
        tensors_sha256="0" * 64,
    )


def _flax() -> dict[str, dict[str, dict[str, np.ndarray]]]:
    layers = {}
    for number in (0, 3):
        out, inner, high, wide = _SHAPES[f"features.{number}.weight"]
        kernel = np.ones((high, wide, inner, out), np.float32)
        layers[f"Conv_{number // 3}"] = {"kernel": kernel, "bias": np.zeros(out, np.float32)}
    return {"Tiny_0": layers}


def archive(content: bytes) -> bytes:
    """A source archive with a checkpoint in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in (("pkg-0.1.0/setup.py", b"raise SystemExit"), ("pkg-0.1.0/weights/tiny.ckpt", content)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)


def feature_weights() -> list[Sample]:
    """Feature weights in the four forms, torchvision's in both of torch's."""
    tensors = {name: torch.ones(shape) for name, shape in _SHAPES.items()}
    flax = pickle.dumps(_flax(), protocol=4)
    return [
        Sample("tiny.safetensors", save(tensors, metadata={"source": "a test", "tensors_sha256": "0" * 64})),
        Sample("tiny.pth", _torch_file(OrderedDict(tensors))),
        Sample("old.pth", _torch_file(OrderedDict(tensors), _use_new_zipfile_serialization=False)),
        Sample("tiny.ckpt", flax),
        Sample("checked.ckpt", flax),
        Sample("tiny.tar.gz", archive(flax)),
        Sample("checked.tgz", archive(flax)),
    ]


def read_features(home: Path, file: Path) -> None:
    """The weights, with the checkpoint's checksum checked for the names that say so."""
    found = read_feature_weights(network(digest="0" * 64 if file.name.startswith("checked") else None), file)
    assert {name: tuple(value.shape) for name, value in found.items()} == _SHAPES


def arrays() -> list[Sample]:
    """Pickles of arrays, of several protocols."""
    content = {**_flax(), "more": [np.arange(3), np.array(["a", None], object), (1, 2.5, b"x", "y", None)]}
    flat = {**_flax(), "order": np.asfortranarray(np.ones((2, 3), ">f8")), "scalar": np.array(3)}
    return [
        *(Sample("arrays.ckpt", pickle.dumps(content, protocol=protocol)) for protocol in (0, 2, 4)),
        *(Sample("arrays.ckpt", pickle.dumps(flat, protocol=protocol)) for protocol in (2, 4, 5)),
    ]


def read_arrays(home: Path, file: Path) -> None:
    """Any pickle of plain containers and arrays."""
    unpickle_arrays(file.read_bytes(), origin=str(file))


def frames() -> list[Sample]:
    """Tables that pandas has pickled, and one of an older form."""
    points = [np.full((18, 2), number, float) for number in range(3)]
    frame = pd.DataFrame({"file_name": [f"{n}.png" for n in range(3)], "value": points, "n": [1, 2, 3]})
    values = np.empty((2, 2), object)
    values[0], values[1] = ["a.png", "b.png"], [[1.0, 2.0], [3.0, 4.0]]
    block = {"values": values, "mgr_locs": slice(0, 2, 1)}
    old = {"0.14.1": {"axes": [np.array(["file_name", "value"], object), np.arange(2)], "blocks": [block]}}
    return [
        *(Sample("table.pkl", pickle.dumps(frame, protocol=protocol)) for protocol in (2, 4, 5)),
        *(Sample("table.pkl", pickle.dumps(old, protocol=protocol)) for protocol in (0, 2, 4)),
    ]


def read_table(home: Path, file: Path) -> None:
    """The columns that Tai-Chi's tables have."""
    found = read_frame(file, ("file_name", "value"))
    assert len(found["file_name"]) == len(found["value"])


_TORCH = (change_zip, change_pickle)
KINDS = (
    Kind("model", models, read_model, mutators=(change_safetensors,), cost_ms=7.0, structured=0.8),
    Kind("save", saves, read_saves, mutators=(*_TORCH, change_safetensors), lay=lay_saves, writes=True, cost_ms=3.0),
    Kind("state", states, read_bare_state, mutators=_TORCH, lay=lay_weights, writes=True, cost_ms=1.5, weight=2.0),
    Kind("official", officials, read_authors, mutators=_TORCH,
         cost_ms=6.0),
    Kind("features", feature_weights, read_features, mutators=(*_TORCH, change_safetensors,
         inside_gzip(change_tar), inside_gzip(inside_tar(change_pickle))), cost_ms=0.6, weight=2.0),
    Kind("arrays", arrays, read_arrays, mutators=(change_pickle,), cost_ms=2.5, weight=1.5),
    Kind("frames", frames, read_table, mutators=(change_pickle,), cost_ms=3.0, weight=1.5),
)  # fmt: skip
