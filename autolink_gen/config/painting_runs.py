"""Settings of the runs on a learned graph: the GAN and pose transfer."""

from dataclasses import field
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from autolink_gen.common.settings import STRICT, Rule, readable_errors
from autolink_gen.config.groups import (
    MAX_COUNT,
    DataConfig,
    Decay,
    OptimiserConfig,
    PairDataConfig,
    PerceptualConfig,
    RunLengthConfig,
    Share,
    Weight,
)
from autolink_gen.models.blocks import Width
from autolink_gen.models.generator import GanConfig
from autolink_gen.models.transfer import TransferConfig


@readable_errors
@dataclass(frozen=True, config=STRICT)
class GraphChoice:
    """The graph that a run stands on, of which it keeps a copy; written by the run."""

    run: Annotated[str, Field(description="Run of the graph, as it was found when this run began.")] = ""
    num_keypoints: Annotated[int, Field(description="Number of keypoints of the graph.")] = 0
    clusters: Annotated[int, Field(description="Number of clusters that the graph's keypoints are parted into.")] = 0
    dropped_clusters: Annotated[
        tuple[int, ...], Field(description="Clusters whose keypoints are left out of the copy.")
    ] = ()
    dropped: Annotated[tuple[int, ...], Field(description="Keypoints that are left out of the copy.")] = ()


@readable_errors
@dataclass(frozen=True, config=STRICT)
class PoseConfig:
    """The poses that the generator is trained on: keypoints of other images, some of them changed."""

    jitter_share: Annotated[Share, Field(description="Share of the poses that are jittered.")] = 0.1
    jitter: Annotated[
        Weight, Field(description="Standard deviation of the jitter in the units of keypoints, 2 to the width.")
    ] = 0.02
    mix_share: Annotated[Share, Field(description="Share of the poses that are mixed from two images.")] = 0.1
    moved_share: Annotated[
        Share, Field(description="Share of the real images that are turned, scaled and shifted a little first.")
    ] = 0.0


@readable_errors
@dataclass(frozen=True, config=STRICT)
class AdversarialConfig:
    """The adversarial losses (AutoLink eq. 7-9)."""

    gamma: Annotated[
        float | None,
        Field(
            ge=0,
            description="Weight of the gradient penalty R1 (eq. 9); null: 0.2 at 64 pixels, 0.8 at 128, 3.2 at 256.",
        ),
    ] = None
    penalty_every: Annotated[
        int,
        Field(ge=1, description="Steps from one gradient penalty to the next, which weighs as many times more."),
    ] = 8
    relativistic: Annotated[
        bool, Field(description="Compare real and generated images in pairs, and penalise the gradients of both.")
    ] = False
    augment: Annotated[
        bool,
        Field(description="Show the discriminator moved, recoloured and partly covered images; for few images."),
    ] = False
    mismatched: Annotated[
        Decay,
        Field(
            description="Share of the generated images replaced by real ones with another's edge map, which the "
            "discriminator must refuse (Reed et al. 2016)."
        ),
    ] = 0.0
    structure: Annotated[
        Weight,
        Field(
            description="Weight in the generator's loss of how much farther detected keypoints lie from those asked "
            "for than in real images."
        ),
    ] = 0.0


def default_gamma(image_size: int) -> float:
    """0.2 at 64 pixels, and four times as much at twice the size.

    An image shown at twice the size has a quarter of the squared gradient norm: this keeps the penalty as it was.
    """
    return 0.2 * (image_size / 64) ** 2


@readable_errors
@dataclass(frozen=True, config=STRICT)
class ProgressConfig:
    """What is measured at each save."""

    pictures: Annotated[
        int,
        AfterValidator(Rule(f"0, or 2 to {MAX_COUNT:,}", lambda value: value == 0 or 2 <= value <= MAX_COUNT)),
        Field(description="Images compared with held-out ones at each save; 0: none."),
    ] = 500


@readable_errors
@dataclass(frozen=True, config=STRICT)
class GanRunConfig:
    """All that a run of the GAN depends on; the defaults are the paper's recipe."""

    model: GanConfig = field(default_factory=GanConfig)
    graph: GraphChoice = field(default_factory=GraphChoice)
    data: DataConfig = field(default_factory=DataConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(lr=1e-4, betas=(0.0, 0.99), mapping_lr=1e-6)
    )
    training: RunLengthConfig = field(default_factory=lambda: RunLengthConfig(steps=100_000, batch_size=32, ema=0.999))
    progress: ProgressConfig = field(default_factory=ProgressConfig)


@readable_errors
@dataclass(frozen=True, config=STRICT)
class LossWeightsConfig:
    """The weight of each loss of pose transfer (AutoLink, Appendix C.2)."""

    squared: Annotated[Weight, Field(description="Weight of the mean squared error.")] = 1.0
    perceptual: Annotated[Weight, Field(description="Weight of the perceptual loss (eq. 6).")] = 1.0
    adversarial: Annotated[
        Weight, Field(description="Weight of the adversarial loss (eq. 7); 0: there is no discriminator.")
    ] = 0.1
    discriminator_width: Annotated[Width, Field(description="Multiplier of the discriminator's channels.")] = 1.0


@readable_errors
@dataclass(frozen=True, config=STRICT)
class TransferRunConfig:
    """All that a run of the pose-transfer network depends on; the defaults are the paper's recipe."""

    model: TransferConfig = field(default_factory=TransferConfig)
    graph: GraphChoice = field(default_factory=GraphChoice)
    data: PairDataConfig = field(default_factory=PairDataConfig)
    weights: LossWeightsConfig = field(default_factory=LossWeightsConfig)
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(lr=1e-4, betas=(0.5, 0.99)))
    training: RunLengthConfig = field(default_factory=lambda: RunLengthConfig(steps=100_000, batch_size=32, ema=0.999))
    progress: ProgressConfig = field(default_factory=lambda: ProgressConfig(pictures=200))
