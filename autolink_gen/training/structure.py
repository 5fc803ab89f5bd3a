"""The structure term of a painter's loss: what it paints must show the keypoints it was asked for."""

from jaxtyping import Float
from torch import Tensor

from autolink_gen.losses.adversarial import structure_loss
from autolink_gen.models.autolink import AutoLink
from autolink_gen.training.augment import Nudge


class StructureTerm:
    """Detects keypoints in painted pictures that were moved a little, and tells how far from their places they are.

    A detector looked at always the same way can be pleased by strokes that mean nothing to anyone else; one that
    sees the picture turned, scaled and shifted, each time otherwise, much less. Differs: the paper has no such term.
    """

    def __init__(self, graph: AutoLink) -> None:
        self.graph, self.nudge = graph, Nudge()

    def __call__(
        self, painted: Float[Tensor, "B 3 S S"], asked: Float[Tensor, "B K 2"], *, seed: int
    ) -> Float[Tensor, ""]:
        """The mean distance, in units of [-1, 1]; gradients reach the pictures in [-1, 1]."""
        seen, wanted = self.nudge(painted.float(), asked, seed=seed)
        return structure_loss(self.graph.locate(seen), wanted)
