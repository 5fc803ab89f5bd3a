"""Optimisers, learning rates, and the moving average of weights."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from autolink_gen.config import OptimiserConfig
from autolink_gen.losses.perceptual import ConvFeatures


def make_optimiser(
    model: nn.Module, config: OptimiserConfig, *, own_rates: Sequence[tuple[Sequence[nn.Parameter], float | None]]
) -> torch.optim.Optimizer:
    """Adam or AdamW over a model's parameters; those in ``own_rates`` have their own learning rates."""
    apart = {id(parameter) for parameters, _ in own_rates for parameter in parameters}
    frozen = (module for module in model.modules() if isinstance(module, ConvFeatures))
    apart |= {id(parameter) for module in frozen for parameter in module.parameters()}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in apart]

    groups: list[dict[str, Any]] = [{"params": rest, "lr": config.lr}]
    groups += [{"params": list(parameters), "lr": rate or config.lr} for parameters, rate in own_rates]
    for group in groups:
        group["base_lr"] = group["lr"]
    kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    return kind(groups, betas=config.betas, weight_decay=config.weight_decay)


def load_moments(optimiser: Any, state: dict[str, Any]) -> None:
    """Restore an optimiser; ValueError for averages that are not of the shape of the weights they belong to."""
    optimiser.load_state_dict(state)
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            for name, value in optimiser.state.get(parameter, {}).items():
                if isinstance(value, Tensor) and value.ndim and value.shape != parameter.shape:
                    raise ValueError(f"the optimiser's {name} is of another shape than its weights")


def set_learning_rate(optimiser: torch.optim.Optimizer, config: OptimiserConfig, *, step: int, steps: int) -> float:
    """Give every group its learning rate at ``step``, a function of the step alone; returns the common factor."""
    factor = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "cosine":
        factor *= 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor
    return factor


def make_average(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of a model's weights and buffers, quicker at first, when all is new."""

    @torch.no_grad()
    def move(averages: Any, currents: Any, num_averaged: Tensor | int) -> None:
        count = int(num_averaged)
        weight = 1 - min(decay, (1 + count) / (10 + count))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, currents, weight)
        else:
            torch._foreach_copy_(averages, currents)

    return AveragedModel(model, multi_avg_fn=move, use_buffers=True)
