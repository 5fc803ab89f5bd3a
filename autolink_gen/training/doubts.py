"""What makes a trained graph doubtful though its numbers are finite: a loss that rose, keypoints that fell together."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

_RISE = 1.01  # of the loss, beyond the noise between batches
_LEAST_LOSSES = 3
_SHARE = 10  # the first and the last tenth of the losses are compared
_HAIR = 0.02  # of 2, the image's width
_REMEDY = "start anew with --fresh and a lower learning rate (--set optimiser.lr=...), or more --steps"


def doubts(losses: Sequence[float], keypoints: Float[Tensor, "B K 2"], *, lr: float) -> list[str]:
    """Why a graph is not to be trusted, a line each, with the remedy; nothing where nothing speaks against it.

    ``losses`` are those that the run has logged, in their order, ``keypoints`` (x, y) in [-1, 1] those of some images,
    ``lr`` its learning rate.
    """
    found = []
    count = max(1, len(losses) // _SHARE)
    first, last = (sum(part) / count for part in (losses[:count], losses[-count:]))
    if len(losses) >= _LEAST_LOSSES and not last <= _RISE * first:
        found.append(f"the loss rose, from {first:.4g} to {last:.4g}, at a learning rate of {lr:g}: {_REMEDY}")
    from_middle = (keypoints - keypoints.mean(dim=1, keepdim=True)).norm(dim=-1)
    if float(from_middle.max()) < _HAIR / 2:
        found.append(f"all keypoints lie in one place, within 1 % of the image's width: {_REMEDY}, or another --seed")
    return found
