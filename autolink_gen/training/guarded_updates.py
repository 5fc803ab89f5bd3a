"""Updates of a network that leave all as it was where a number is not finite."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from autolink_gen.common.fabric import Fabric
from autolink_gen.training.guards import RunningStatistics
from autolink_gen.training.optimisers import MovingAverage, fuse


class Update(NamedTuple):
    """What came of an update: whether it was taken, and the gradient's norm before clipping, if there was one."""

    is_good: Tensor  # bool, on the device
    norm: Tensor | None


def decides_on_device(fabric: Fabric) -> bool:
    """Whether the device itself holds a bad update back, so that no step waits for it.

    The loss scaler of ``16-mixed`` decides on the host.
    """
    return fabric.device.type == "cuda" and _scaler(fabric) is None


class GuardedUpdates:
    """The updates of one network, set up by Fabric.

    None is taken where the loss, its gradient or a running statistic is not finite: weights, moments, statistics and
    the moving ``average`` are then as before the step. An optimiser that has made no step yet is fused where the device
    decides.
    """

    def __init__(
        self, fabric: Fabric, network: nn.Module, model: Any, optimiser: Any, *, average: MovingAverage | None = None
    ) -> None:
        self.fabric, self.network, self.model, self.optimiser = fabric, network, model, optimiser
        self.average = average
        self.is_on_device = decides_on_device(fabric)
        self._plain: Any = getattr(optimiser, "optimizer", optimiser)  # Fabric's holds the plain one
        if self.is_on_device:
            fuse(self._plain)
        self._statistics = RunningStatistics(network)

    def keep_statistics(self) -> None:
        """Remember the running statistics, before the first forward pass of a step."""
        self._statistics.keep()

    def update(self, loss: Tensor, *, clip_norm: float | None) -> Update:
        """Backward pass and optimiser step, or neither."""
        self.optimiser.zero_grad(set_to_none=True)
        max_norm = clip_norm or math.inf
        return self._decide_there(loss, max_norm) if self.is_on_device else self._decide_here(loss, max_norm)

    def _backward(self, loss: Tensor, max_norm: float) -> Tensor:
        """The gradient's norm before it is clipped."""
        self.fabric.backward(loss)
        norm = self.fabric.clip_gradients(self.model, self.optimiser, max_norm=max_norm, error_if_nonfinite=False)
        assert isinstance(norm, Tensor)
        return norm

    def _decide_there(self, loss: Tensor, max_norm: float) -> Update:
        norm = self._backward(loss, max_norm)
        is_good = loss.detach().isfinite() & norm.isfinite() & self._statistics.are_finite()
        is_good = self._everywhere(is_good)
        assert all(group["fused"] for group in self._plain.param_groups), "or a bad update would be taken"
        self._plain.found_inf = (~is_good).float()
        self.optimiser.step()
        self._statistics.put_back_unless(is_good)
        if self.average is not None:
            self.average.update_if(self.network, is_good.float())
        return Update(is_good, norm)

    def _decide_here(self, loss: Tensor, max_norm: float) -> Update:
        norm = None
        if self._everywhere(loss.detach().isfinite() & self._statistics.are_finite()):
            norm = self._backward(loss, max_norm)
            # In half precision the loss scaler meets overflows itself, and lowers its scale when it steps.
            scaler = _scaler(self.fabric)
            is_finite = bool(torch.isfinite(norm))
            if is_finite or scaler is not None:
                self.optimiser.step()
            if is_finite or (scaler is not None and scaler.get_scale() >= 1):
                if self.average is not None:
                    self.average.update_parameters(self.network)
                return Update(torch.tensor(True, device=loss.device), norm)
        self.optimiser.zero_grad(set_to_none=True)
        self._statistics.put_back_unless(False)
        return Update(torch.tensor(False, device=loss.device), norm)

    def _everywhere(self, is_finite: Tensor) -> Tensor:
        """Whether it is so in all processes, that all do the same; on the device."""
        if self.fabric.world_size == 1:
            return is_finite
        total = self.fabric.all_reduce(is_finite.float(), reduce_op="sum")
        assert isinstance(total, Tensor)
        return total == self.fabric.world_size


def _scaler(fabric: Fabric) -> Any:
    return getattr(fabric.strategy.precision, "scaler", None)
