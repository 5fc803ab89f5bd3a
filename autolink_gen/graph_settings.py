"""Settings of the graph learner alone."""

import math
from dataclasses import dataclass

from autolink_gen.common.checks import require

MAX_VIEWS = 64


@dataclass(frozen=True)
class ThicknessConfig:
    """Thick edges first: sigma^2 falls geometrically from ``start`` to the model's, between two shares of the run."""

    start: float | None = None  # None: the model's sigma2 throughout
    hold: float = 0.2
    until: float = 0.6

    def __post_init__(self) -> None:
        require(self.start is None or 0 < self.start < math.inf, "thickness.start", "positive", self.start)
        require(0 <= self.hold <= self.until <= 1, "thickness.hold, thickness.until", "rising in [0, 1]", self)


@dataclass(frozen=True)
class ViewsConfig:
    """More than one look at each picture. Differs: the paper has one mask a picture and looks at no moved ones.

    ``masks``: each picture is repainted under so many masks, from keypoints detected once. ``consistency`` weighs, in
    the loss, how far keypoints of a picture that is turned, scaled and shifted a little are from the moved keypoints.
    ``recolour``: how strongly, up to 1, the pictures that the detector looks at are recoloured, and not those to
    repaint, so that keypoints cannot tell the painter about colours; at 1, half of them are negatives.
    """

    masks: int = 1
    consistency: float = 0.0
    recolour: float = 0.0

    def __post_init__(self) -> None:
        require(1 <= self.masks <= MAX_VIEWS, "views.masks", f"1 to {MAX_VIEWS}", self.masks)
        require(0 <= self.consistency < math.inf, "views.consistency", "0 or more", self.consistency)
        require(0 <= self.recolour <= 1, "views.recolour", "in [0, 1]", self.recolour)


@dataclass(frozen=True)
class EdgesConfig:
    """What keeps edges short and all keypoints in use. Differs: the paper has neither.

    ``length_weight`` weighs, in the loss, the sum over edges of weight x (squared length + ``length_floor``), lengths
    in the units of keypoints and taken as they are: the weights alone learn from it. Of two ways to draw a limb, one
    long edge or several short ones along it, the short ones cost less. ``dropout``: the share of edges that each step
    leaves out, so that others learn to stand in for them.
    """

    length_weight: float = 0.0
    length_floor: float = 0.02
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("length_weight", "length_floor"):
            require(0 <= getattr(self, name) < math.inf, f"edges.{name}", "0 or more", getattr(self, name))
        require(0 <= self.dropout < 1, "edges.dropout", "in [0, 1)", self.dropout)
