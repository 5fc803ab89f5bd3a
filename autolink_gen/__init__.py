"""autolink-gen: keypoints and the graph that links them, learned from unlabelled images."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autolink_gen.checkpoints import load_graph_model as load_graph_model
    from autolink_gen.evaluation.evaluate import evaluate as evaluate
    from autolink_gen.export.onnx_files import export_onnx as export_onnx
    from autolink_gen.inference.detect_files import detect_files as detect
    from autolink_gen.inference.generate import load_gan as load_gan
    from autolink_gen.inference.paint_files import generate as generate
    from autolink_gen.inference.sharing import from_pretrained as from_pretrained
    from autolink_gen.inference.sharing import save_pretrained as save_pretrained
    from autolink_gen.inference.transfer import load_transfer as load_transfer
    from autolink_gen.inference.transfer_files import transfer_files as transfer
    from autolink_gen.training.painting_plans import train_gan as train_gan
    from autolink_gen.training.painting_plans import train_transfer as train_transfer
    from autolink_gen.training.plans import learn_graph as learn_graph

__version__ = "0.1.0"
__all__ = [
    "detect",
    "evaluate",
    "export_onnx",
    "from_pretrained",
    "generate",
    "learn_graph",
    "load_gan",
    "load_graph_model",
    "load_transfer",
    "save_pretrained",
    "train_gan",
    "train_transfer",
    "transfer",
]
_FROM = {
    "detect": ("inference.detect_files", "detect_files"),
    "evaluate": ("evaluation.evaluate", "evaluate"),
    "export_onnx": ("export.onnx_files", "export_onnx"),
    "from_pretrained": ("inference.sharing", "from_pretrained"),
    "generate": ("inference.paint_files", "generate"),
    "learn_graph": ("training.plans", "learn_graph"),
    "load_gan": ("inference.generate", "load_gan"),
    "load_graph_model": ("checkpoints", "load_graph_model"),
    "load_transfer": ("inference.transfer", "load_transfer"),
    "save_pretrained": ("inference.sharing", "save_pretrained"),
    "train_gan": ("training.painting_plans", "train_gan"),
    "transfer": ("inference.transfer_files", "transfer_files"),
    "train_transfer": ("training.painting_plans", "train_transfer"),
}


def __getattr__(name: str) -> Any:
    """Import what needs torch on first use, so that ``autolink-gen --help`` stays quick."""
    if name not in _FROM:
        raise AttributeError(f"module 'autolink_gen' has no attribute {name!r}")
    module, attribute = _FROM[name]
    return getattr(importlib.import_module(f"autolink_gen.{module}"), attribute)


def __dir__() -> list[str]:
    """What a user needs; without this, what was not used yet would not be listed."""
    return sorted([*globals(), *_FROM])
