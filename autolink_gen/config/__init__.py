"""Run configurations: frozen dataclasses, made from the values of recipes, saved with the run."""

from autolink_gen.config.building import build
from autolink_gen.config.explaining import explained_yaml
from autolink_gen.config.graph_run import EdgesConfig, GraphRunConfig, ThicknessConfig, ViewsConfig
from autolink_gen.config.groups import DataConfig, OptimiserConfig, PairDataConfig, PerceptualConfig, RunLengthConfig
from autolink_gen.config.painting_runs import (
    AdversarialConfig,
    GanRunConfig,
    GraphChoice,
    LossWeightsConfig,
    PoseConfig,
    ProgressConfig,
    TransferRunConfig,
    default_gamma,
)
from autolink_gen.config.settings import RUN_CONFIGS, RunKind, Setting, settings_of
from autolink_gen.config.writing import to_dict, to_yaml

__all__ = [
    "RUN_CONFIGS",
    "AdversarialConfig",
    "DataConfig",
    "EdgesConfig",
    "GanRunConfig",
    "GraphChoice",
    "GraphRunConfig",
    "LossWeightsConfig",
    "OptimiserConfig",
    "PairDataConfig",
    "PerceptualConfig",
    "PoseConfig",
    "ProgressConfig",
    "RunKind",
    "RunLengthConfig",
    "Setting",
    "ThicknessConfig",
    "TransferRunConfig",
    "ViewsConfig",
    "build",
    "default_gamma",
    "explained_yaml",
    "settings_of",
    "to_dict",
    "to_yaml",
]
