"""autolink-gen: keypoints and the graph that links them, learned from unlabelled pictures."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["load_gan", "load_graph_model", "load_transfer"]


def __getattr__(name: str) -> Any:
    """Import what needs torch on first use, so that ``autolink-gen --help`` stays quick."""
    if name == "load_graph_model":
        from autolink_gen.checkpoints import load_graph_model

        return load_graph_model
    if name == "load_gan":
        from autolink_gen.inference.generate import load_gan

        return load_gan
    if name == "load_transfer":
        from autolink_gen.inference.transfer import load_transfer

        return load_transfer
    raise AttributeError(f"module 'autolink_gen' has no attribute {name!r}")
