"""The structure loss of a generator: painted images must show the given keypoints."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from autolink_gen.common.devices import best_precision
from autolink_gen.losses.adversarial import keypoint_distances, structure_loss
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.keypoints import linked_keypoints
from autolink_gen.ops.precision import single
from autolink_gen.training.augment import RandomMove
from autolink_gen.training.posed_images import PosedImages


class StructureLosses(NamedTuple):
    """The term, and for the logs the mean distances of keypoints from their places, in units of [-1, 1]."""

    loss: Float[Tensor, ""]
    painted: Float[Tensor, ""]
    real: Float[Tensor, ""]

    @property
    def metrics(self) -> dict[str, Tensor]:
        """The distances by name."""
        return {"structure": self.painted, "real_structure": self.real}


class StructureTerm:
    """Measures how far painted images show their keypoints from where they were asked for.

    The images are moved a little before keypoints are detected in them.

    A detector looked at always the same way can be pleased by strokes that mean nothing to anyone else; one that
    sees the image turned, scaled and shifted, each time otherwise, much less. And a painted image need not be
    clearer than real ones, moved likewise: where the detector itself wavers, more could be had by strokes alone.
    Keypoints without edges do not count: no edge map shows where they should be. Differs: the paper has no such term.
    """

    def __init__(self, graph: AutoLink) -> None:
        self.graph, self.move = graph, RandomMove()
        self.linked = linked_keypoints(graph.edge_weights)
        # A detector on a classifier's features costs as much as the generator: half precision where that is quicker.
        on_features = graph.config.detector == "features"
        self._is_half = on_features and best_precision(graph.edge_weights.device.type) == "bf16-mixed"

    def __call__(self, *, fake: PosedImages, real: PosedImages, seed: int) -> StructureLosses:
        """The term for painted images on the keypoints asked for, beside real ones with those found in them.

        Gradients reach the painted images.
        """
        distances = self._distances(fake.images.float(), fake.keypoints, seed=seed)
        with torch.no_grad():
            allowed = self._distances(real.images.float(), real.keypoints, seed=seed)
        return StructureLosses(structure_loss(distances, allowed), distances.mean(), allowed.mean())

    def _distances(
        self, images: Float[Tensor, "B 3 S S"], keypoints: Float[Tensor, "B K 2"], *, seed: int
    ) -> Float[Tensor, " L"]:
        moved = self.move(images, seed=seed)
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=self._is_half):
            keypoints_found = self.graph.locate(moved.images)
        return keypoint_distances(single(keypoints_found), moved.follow(keypoints))[self.linked]
