"""Fabric's part in a loop on the meta device, whose tensors have no numbers: code that waits for one fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn


class MetaFabric(Fabric):
    """As much of Fabric as a loop of one process needs."""

    device: Any = torch.device("meta")
    world_size: Any = 1
    global_rank: Any = 0
    is_global_zero: Any = True
    strategy: Any = SimpleNamespace(precision=SimpleNamespace(scaler=None))

    def __init__(self) -> None:
        """Without what Fabric sets up."""

    def setup(self, module: nn.Module, optimiser: torch.optim.Optimizer) -> Any:  # type: ignore[override]
        """The network on the device, and the optimiser of its weights there."""
        before = list(module.parameters())
        module.to(self.device)
        there = {id(old): new for old, new in zip(before, module.parameters(), strict=True)}
        for group in optimiser.param_groups:
            group["params"] = [there[id(parameter)] for parameter in group["params"]]
        return module, optimiser

    def backward(self, loss: Tensor) -> None:
        """The backward pass."""
        loss.backward()

    def clip_gradients(self, module: nn.Module, optimiser: Any, *, max_norm: float, error_if_nonfinite: bool) -> Tensor:
        """The gradients' norm before they are clipped."""
        return nn.utils.clip_grad_norm_(module.parameters(), max_norm, error_if_nonfinite=error_if_nonfinite)

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Single precision."""
        yield

    def barrier(self) -> None:
        """Nobody to wait for."""
