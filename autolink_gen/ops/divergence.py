"""Errors of models whose training diverged: finite weights, and keypoints that are no numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor


class DivergedModelError(ValueError):
    """A model finds nothing in an image, whatever the image: its training diverged."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} finds no finite keypoints: its training diverged; train it anew with a lower rate "
            f"(--fresh --set optimiser.lr=...)"
        )


def check_found(keypoints: Float[Tensor, "*batch K 2"] | Float[ndarray, "*batch K 2"], *, name: str) -> None:
    """DivergedModelError, with the model's ``name``, where no keypoint of an image is finite.

    For what the model itself found: keypoints that are left out afterwards are no fault of it.
    """
    is_finite = np.isfinite(keypoints) if isinstance(keypoints, ndarray) else keypoints.isfinite()
    if not bool(is_finite.all(-1).any(-1).all()):
        raise DivergedModelError(name)


@contextmanager
def named_as(name: str) -> Iterator[None]:
    """Give a DivergedModelError of what is done inside the model's ``name``."""
    try:
        yield
    except DivergedModelError:
        raise DivergedModelError(name) from None
