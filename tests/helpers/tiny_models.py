"""Untrained models that are small: graph learner, GAN and transfer network; a seed gives the same weights each time."""

import torch

from autolink_gen.inference.generate import Gan
from autolink_gen.inference.transfer import Transfer
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.models.generator import GanConfig, Generator
from autolink_gen.models.graph_analysis import cluster_labels
from autolink_gen.models.transfer import TransferConfig, TransferNetwork


def tiny_graph(num_keypoints: int = 3, *, seed: int = 0, **changes: object) -> AutoLink:
    """A graph learner of 64 pixels; `changes` are settings of AutoLinkConfig."""
    torch.manual_seed(seed)
    settings = {"num_keypoints": num_keypoints, "image_size": 64, "width": 0.05, **changes}
    return AutoLink(AutoLinkConfig(**settings))  # type: ignore[arg-type]


def tiny_gan(graph: AutoLink | None = None, *, poses: torch.Tensor | None = None, **changes: object) -> Gan:
    """A GAN on this graph or on a tiny one, with two poses in the middle; `changes` are settings of GanConfig."""
    graph = graph or tiny_graph()
    settings = {"image_size": 64, "width": 0.02, "style_size": 8, **changes}
    generator = Generator(GanConfig(**settings))  # type: ignore[arg-type]
    return Gan(graph, generator, torch.zeros(2, graph.config.num_keypoints, 2) if poses is None else poses)


def tiny_transfer(graph: AutoLink | None = None, *, poses: torch.Tensor | None = None, **changes: object) -> Transfer:
    """A transfer network on this graph or on a tiny one; `changes` are settings of TransferConfig."""
    graph = graph or tiny_graph()
    settings = {"image_size": 64, "width": 0.05, "appearance_width": 0.05, **changes}
    network = TransferNetwork(TransferConfig(**settings)).eval()  # type: ignore[arg-type]
    given = torch.zeros(2, graph.config.num_keypoints, 2) if poses is None else poses
    return Transfer(graph, network, cluster_labels(graph.edge_weights, network.config.clusters), given)
