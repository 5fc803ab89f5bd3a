"""Optimisers, learning rates, and the moving average of weights."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from autolink_gen.config import OptimiserConfig
from autolink_gen.losses.perceptual import ConvFeatures


def make_optimiser(
    model: nn.Module,
    config: OptimiserConfig,
    *,
    own_rates: Sequence[tuple[Sequence[nn.Parameter], float | None]],
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


def fuse(optimiser: torch.optim.Optimizer) -> None:
    """Make one kernel of the updates of an Adam that has made none yet.

    A flag on the device, its ``found_inf``, 1 or 0, can hold an update back.
    """
    for group in optimiser.param_groups:
        group["fused"] = True


def load_moments(optimiser: Any, state: dict[str, Any]) -> None:
    """Restore an optimiser; ValueError for averages that are not of the shape of the weights they belong to.

    Whether it is fused is its own: the state may be that of a run on another device.
    """
    ours = [group["fused"] for group in optimiser.param_groups]
    groups = [{**group, "fused": fused} for group, fused in zip(state["param_groups"], ours, strict=True)]
    optimiser.load_state_dict({**state, "param_groups": groups})
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


class MovingAverage(AveragedModel):
    """An exponential moving average of a model's weights and buffers, quicker at first, when all is new."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, multi_avg_fn=self._move, use_buffers=True)
        self._decay = decay

    @torch.no_grad()
    def _move(self, averages: Any, currents: Any, num_averaged: Tensor | int) -> None:
        count = int(num_averaged)
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, currents, 1 - min(self._decay, (1 + count) / (10 + count)))
        else:
            torch._foreach_copy_(averages, currents)

    @torch.no_grad()
    def update_if(self, model: nn.Module, is_good: Float[Tensor, ""]) -> None:
        """Take up a model, unless a flag on its device, 1 or 0, says that its step was not good.

        Does not wait for the device, as :meth:`update_parameters` does, and rounds otherwise.
        """
        count = self.n_averaged
        share = 1 - ((1 + count) / (10 + count)).clamp_max(self._decay)
        weight = torch.where(count == 0, 1.0, share) * is_good  # all of the first model, as AveragedModel takes it
        pairs = list(zip(_tensors(self.module), _tensors(model), strict=True))
        averages, currents = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        torch._foreach_add_(averages, torch._foreach_mul(torch._foreach_sub(currents, averages), weight))
        for average, current in pairs:
            if not average.is_floating_point():
                average.copy_(current)
        count += is_good.to(count.dtype)


def _tensors(model: nn.Module) -> list[Tensor]:
    """The weights and buffers of a model, to be changed in place."""
    return [*(parameter.detach() for parameter in model.parameters()), *model.buffers()]
