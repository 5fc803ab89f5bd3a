"""Settings of a run of the graph learner."""

from dataclasses import field, replace
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from autolink_gen.common.settings import STRICT, readable_errors
from autolink_gen.config.groups import (
    DataConfig,
    Decay,
    OptimiserConfig,
    PerceptualConfig,
    RunLengthConfig,
    Share,
    Weight,
)
from autolink_gen.models.autolink import AutoLinkConfig


@readable_errors
@dataclass(frozen=True, config=STRICT)
class ThicknessConfig:
    """Thick edges at first: sigma^2 falls geometrically from `start` to the model's."""

    start: Annotated[
        float | None, Field(gt=0, description="Sigma^2 at the beginning, in normalised units; null: the model's.")
    ] = None
    hold: Annotated[Share, Field(description="Share of the run at which sigma^2 begins to fall.")] = 0.2
    until: Annotated[Share, Field(description="Share of the run at which sigma^2 has come to the model's.")] = 0.6

    def __post_init__(self) -> None:
        if self.hold > self.until:
            raise ValueError(f"hold must be at most until, {self.until}, got {self.hold}")


@readable_errors
@dataclass(frozen=True, config=STRICT)
class ViewsConfig:
    """Several looks at each image. Differs: the paper masks each image once and never moves or recolours it."""

    masks: Annotated[
        int,
        Field(ge=1, le=64, description="Masks under which each image is repainted, from keypoints detected once."),
    ] = 1
    consistency: Annotated[
        Weight,
        Field(
            description="Weight in the loss of how far the keypoints of a turned, scaled and shifted image lie from "
            "the keypoints moved likewise."
        ),
    ] = 0.0
    recolour: Annotated[
        Share,
        Field(
            description="How strongly the images that the detector sees are recoloured, so that keypoints carry no "
            "colours; at 1, half of them are negatives."
        ),
    ] = 0.0


@readable_errors
@dataclass(frozen=True, config=STRICT)
class EdgesConfig:
    """What keeps edges short and all keypoints in use. Differs: the paper has neither.

    Of two ways to draw a limb, one long edge or several short ones along it, the short ones cost less. The lengths are
    taken as they are: the edge weights alone learn from this cost.
    """

    length_weight: Annotated[
        Weight,
        Field(description="Weight in the loss of the sum over edges of edge weight x (squared length + length_floor)."),
    ] = 0.0
    length_floor: Annotated[Weight, Field(description="Added to each squared length, in the units of keypoints.")] = (
        0.02
    )
    dropout: Annotated[
        Decay, Field(description="Share of the edges that each step leaves out, so that others stand in for them.")
    ] = 0.0


@readable_errors
@dataclass(frozen=True, config=STRICT)
class GraphRunConfig:
    """All that a run of the graph learner depends on; the defaults are the paper's recipe."""

    model: AutoLinkConfig = field(default_factory=AutoLinkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    training: RunLengthConfig = field(default_factory=RunLengthConfig)
    thickness: ThicknessConfig = field(default_factory=ThicknessConfig)
    views: ViewsConfig = field(default_factory=ViewsConfig)
    edges: EdgesConfig = field(default_factory=EdgesConfig)

    def __post_init__(self) -> None:
        if self.model.detector == "features" and self.model.features is None:
            try:
                model = replace(self.model, features=self.perceptual.features)
            except ValueError as error:  # the network that it gets may have fewer maps
                raise ValueError(f"model.{error}") from None
            object.__setattr__(self, "model", model)
