"""Runs of the three loops with networks of a few thousand weights and every term of their losses."""

from typing import Any

from autolink_gen.config import GanRunConfig, GraphRunConfig, TransferRunConfig, build
from autolink_gen.models.autolink import AutoLink
from autolink_gen.training.engine import Run
from autolink_gen.training.gan import train_gan
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.transfer import train_transfer
from helpers.tiny_models import tiny_graph

KINDS = ("graph", "graph on features", "gan", "transfer")
LENGTH = {"steps": 2, "batch_size": 2, "save_every": 2, "grid_every": 2, "log_every": 1, "ema": 0.9}
_PUPPETS = {"name": "puppets", "flip": 0.5}
_EVERY_TERM = {"augment": True, "relativistic": True, "structure": 1.0, "penalty_every": 1}
_VALUES: dict[str, dict[str, Any]] = {
    "graph": {
        "model": {"num_keypoints": 3, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
        "data": _PUPPETS,
        "perceptual": {"features": "random", "distance": "l1"},
        "views": {"consistency": 1.0, "recolour": 1.0, "masks": 2},
        "edges": {"dropout": 0.2, "length_weight": 0.1},
    },
    "graph on features": {
        "model": {
            "num_keypoints": 3,
            "image_size": 64,
            "width": 0.05,
            "decoder_width": 0.02,
            "sigma2": 1e-2,
            "detector": "features",
            "features_size": 64,
        },
        "data": _PUPPETS,
        "perceptual": {"features": "random", "distance": "l1", "resize": 64, "unit_length": True},
        "views": {"consistency": 1.0, "recolour": 1.0},
        "thickness": {"start": 3e-2},
    },
    "gan": {
        "model": {"image_size": 64, "width": 0.02, "style_size": 8, "edge_power": 0.5, "minibatch_std": True},
        "data": _PUPPETS,
        "pose": {"moved_share": 0.5},
        "adversarial": _EVERY_TERM,
        "progress": {"pictures": 0},
    },
    "transfer": {
        "model": {"image_size": 64, "width": 0.05, "appearance_width": 0.05, "warps": True},
        "data": {**_PUPPETS, "varied": 0.5},
        "weights": {"discriminator_width": 0.02},
        "perceptual": {"features": "random", "distance": "l1"},
        "adversarial": _EVERY_TERM,
        "progress": {"pictures": 0},
    },
}
_CONFIGS: dict[str, Any] = {"gan": GanRunConfig, "transfer": TransferRunConfig}


def tiny_run_config(kind: str, **training: object) -> Any:
    """The configuration of a kind of run; ``training`` changes its length."""
    return build(_CONFIGS.get(kind, GraphRunConfig), {**_VALUES[kind], "training": {**LENGTH, **training}})


def graph_of_tiny_runs() -> AutoLink:
    """The untrained graph that the other runs stand on."""
    return tiny_graph(sigma2=1e-2)


def train_tiny(kind: str, launch: Launch, **training: object) -> Run:
    """Train a run of a kind."""
    config = tiny_run_config(kind, **training)
    if kind not in _CONFIGS:
        return train_graph(config, launch)
    return (train_gan if kind == "gan" else train_transfer)(config, graph_of_tiny_runs(), launch)
