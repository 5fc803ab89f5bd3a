"""Networks with a folded copy of a part for fast inference, dropped when it would be stale."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

NetworkT = TypeVar("NetworkT", bound="WithQuickCopy")  # Self would not do: the type checks at run time refuse it


class WithQuickCopy(nn.Module):
    """A network with a part that can be folded for inference.

    The copy is dropped as soon as the weights may change or move: by ``train()``, ``load_state_dict`` and ``to``;
    whoever changes weights in place otherwise calls :meth:`prepare_for_inference` again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._quick: list[nn.Module] = []  # none or one; in a list it is no submodule, hence in no state dict

    def fold(self) -> nn.Module:
        """A quicker copy of the part; each kind of network makes its own."""
        raise NotImplementedError

    def acting(self, part: nn.Module) -> nn.Module:
        """The quicker copy where there is one, else the part of which it would be one."""
        return self._quick[0] if self._quick else part

    def prepare_for_inference(self: NetworkT) -> NetworkT:
        """Switch to eval mode and use a quicker copy from now on."""
        self.eval()
        self._quick = [self.fold()]
        return self

    def train(self: NetworkT, mode: bool = True) -> NetworkT:
        """Set training mode, or eval mode, and drop the quicker copy."""
        self._quick = []
        return super().train(mode)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights and drop the quicker copy."""
        self._quick = []
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def _apply(self: NetworkT, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> NetworkT:
        self._quick = []  # .to, .half and the like: its batch norms' statistics are in the weights by now
        return super()._apply(fn, recurse)
