"""A trained pose-transfer network in use, with the graph that it stands on."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from autolink_gen.checkpoints import load_state, read_described, write_described
from autolink_gen.config import build, to_dict
from autolink_gen.graph_analysis import cluster_keypoints
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.models.transfer import TransferConfig, TransferNetwork
from autolink_gen.ops.edges import edge_map


def load_transfer(path: str | Path, *, device: torch.device | str = "cpu") -> "Transfer":
    """The pose-transfer network of a run's folder or a ``model.safetensors``, in eval mode, with its graph.

    Raises ValueError where there is none, where the file is of another kind, or where weights are missing.
    """
    file, config, tensors = read_described(path, kind="transfer")
    graph = AutoLink(build(AutoLinkConfig, config["graph"]))
    network = TransferNetwork(build(TransferConfig, config["transfer"]))
    transfer = Transfer(graph, network, torch.zeros(graph.config.num_keypoints, dtype=torch.long))
    load_state(transfer, tensors, source=str(file))
    transfer.to(device).eval()
    graph.prepare_for_inference()  # last: moving drops the quicker detector
    return transfer


def save_transfer(path: Path, transfer: "Transfer") -> None:
    """Write a network that describes itself: its weights, its graph's, and both configurations."""
    config = {"transfer": to_dict(transfer.network.config), "graph": to_dict(transfer.graph.config)}
    write_described(path, transfer.state_dict(), kind="transfer", config=config)


def cluster_labels(graph: AutoLink, num_clusters: int) -> Int[Tensor, "K"]:
    """The cluster of each keypoint; ValueError for more clusters than keypoints."""
    return torch.from_numpy(np.ascontiguousarray(cluster_keypoints(graph.edge_weights, num_clusters))).long()


class Appearance(NamedTuple):
    """What is taken from source frames: features, the finest first, and the keypoints (B, K, 2) they were seen at."""

    features: list[Tensor]
    keypoints: Float[Tensor, "B K 2"]


class Transfer(nn.Module):
    """A pose-transfer network with its graph; ``labels`` (K,) are the clusters its edge maps have a channel for."""

    labels: Tensor

    def __init__(self, graph: AutoLink, network: TransferNetwork, labels: Int[Tensor, "K"]) -> None:
        super().__init__()
        self.graph, self.network = graph, network
        self.register_buffer("labels", labels)

    def edge_maps(self, keypoints: Float[Tensor, "B K 2"]) -> Float[Tensor, "B C S S"]:
        """The graph drawn on keypoints, a channel a cluster: its edges, those to other clusters among them."""
        size, weights = self.network.config.image_size, self.graph.edge_weights
        inside = [self.labels == cluster for cluster in range(self.network.config.clusters)]
        parts = [weights * (members[:, None] | members) for members in inside]
        return torch.cat([edge_map(keypoints, part, sigma2=self.graph.sigma2, size=size) for part in parts], dim=1)

    @torch.no_grad()
    def look_at(self, pictures: Float[Tensor, "B 3 S S"]) -> Appearance:
        """The appearance of pictures in [0, 1] of the network's own size."""
        keypoints = self.graph.detect(pictures)
        features = self.network.appearance(pictures * 2 - 1, self.edge_maps(keypoints))
        return Appearance(features, keypoints)

    @torch.no_grad()
    def paint(self, keypoints: Float[Tensor, "B K 2"], appearance: Appearance) -> Float[Tensor, "B 3 S S"]:
        """Pictures in [0, 1] of an appearance in other poses; one appearance serves all poses."""
        count = len(keypoints)
        features = [f if len(f) == count else f.expand(count, -1, -1, -1) for f in appearance.features]
        seen_at = appearance.keypoints.expand(count, -1, -1)
        painted = self.network.paint(self.edge_maps(keypoints), keypoints, features, seen_at)
        return ((painted + 1) / 2).clamp(0, 1)
