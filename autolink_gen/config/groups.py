"""Groups of settings that several kinds of run share."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.dataclasses import dataclass

from autolink_gen.common.settings import STRICT, Rule, readable_errors

# No run needs more, and a stranger's recipe may ask for anything.
MAX_WORKERS, MAX_COUNT = 256, 10**9

Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]


def _is_folder_name(value: Any) -> bool:
    text = str(value)
    return "://" not in text and text == text.encode(errors="ignore").decode()


@readable_errors
@dataclass(frozen=True, config=STRICT)
class DataConfig:
    """The images that a run learns from."""

    name: Annotated[str, Field(description="Named data set, folder or shards; several are joined as A+B.")] = "puppets"
    root: Annotated[
        Path | None,
        BeforeValidator(Rule("a folder of this machine, with a name in UTF-8", _is_folder_name)),
        Field(description="Folder in which named data sets lie."),
    ] = None
    classes: Annotated[
        tuple[str, ...], Field(description="Class folders to use, such as cat and dog of afhq; empty: all.")
    ] = ()
    flip: Annotated[Share, Field(description="Probability of mirroring an image.")] = 0.0
    workers: Annotated[
        int | None,
        Field(
            ge=0,
            le=MAX_WORKERS,
            description="Processes that read images; 0: the training process reads them; null: 0 on a CPU, up to 8 on "
            "a CUDA device.",
        ),
    ] = None
    hold_out: Annotated[
        int,
        AfterValidator(Rule("0, or 2 or more", lambda value: value == 0 or value >= 2)),
        Field(description="Every Nth person of the training part is left out, for tuning; 0: nobody."),
    ] = 0


@readable_errors
@dataclass(frozen=True, config=STRICT)
class PairDataConfig(DataConfig):
    """The clips that a run takes pairs of frames from."""

    hold_out: Annotated[
        int,
        AfterValidator(Rule("0 for clips, which do not say whom they show", lambda value: value == 0)),
        Field(description="Not for clips, which do not say whom they show."),
    ] = 0
    varied: Annotated[
        Share, Field(description="Share of the pairs that are recoloured and moved a little, both frames alike.")
    ] = 0.0


@readable_errors
@dataclass(frozen=True, config=STRICT)
class PerceptualConfig:
    """The perceptual loss (AutoLink eq. 6)."""

    features: Annotated[
        Literal["vgg16", "alexnet", "random"], Field(description="Network whose features are compared.")
    ] = "vgg16"
    distance: Annotated[Literal["l1", "mse"], Field(description="Distance between the features.")] = "mse"
    resize: Annotated[
        int | None,
        Field(ge=32, le=2048, description="Width in pixels that images are resized to first; null: not resized."),
    ] = None
    unit_length: Annotated[
        bool, Field(description="Scale the feature vector at each position to length 1 first, as LPIPS does.")
    ] = False
    weights: Annotated[
        str | None, Field(description="File with the weights of the feature network; null: found or fetched.")
    ] = None


@readable_errors
@dataclass(frozen=True, config=STRICT)
class OptimiserConfig:
    """Adam or AdamW, and its learning rate through the run."""

    name: Annotated[Literal["adam", "adamw"], Field(description="Which optimiser.")] = "adam"
    lr: Annotated[Rate, Field(description="Learning rate.")] = 1e-4
    edge_weight_lr: Annotated[
        Rate | None, Field(description="Learning rate of the raw edge weights and of alpha; null: as lr.")
    ] = None
    heatmap_lr: Annotated[
        Rate | None, Field(description="Learning rate of the convolution that makes the heatmaps; null: as lr.")
    ] = None
    mapping_lr: Annotated[
        Rate | None, Field(description="Learning rate of the generator's mapping from z to w; null: as lr.")
    ] = None
    betas: Annotated[tuple[Decay, Decay], Field(description="Decay rates of Adam's two moments.")] = (0.9, 0.99)
    weight_decay: Annotated[float, Field(description="Weight decay of AdamW.")] = 0.0
    schedule: Annotated[
        Literal["constant", "cosine"], Field(description="How the learning rate goes on after the warm-up.")
    ] = "constant"
    warmup_steps: Annotated[int, Field(ge=0, description="Steps over which the learning rate rises from 0.")] = 0
    clip_norm: Annotated[
        float | None,
        Field(gt=0, allow_inf_nan=True, description="Norm that gradients are clipped to; null: not clipped."),
    ] = None


@readable_errors
@dataclass(frozen=True, config=STRICT)
class RunLengthConfig:
    """How long a run trains, in which batches, and what is saved of it."""

    steps: Annotated[Count, Field(description="Training steps.")] = 20_000
    batch_size: Annotated[Count, Field(description="Images in a step, over all devices.")] = 64
    seed: Annotated[
        int,
        AfterValidator(Rule("of at most 63 bits", lambda value: abs(value) < 2**63)),
        Field(description="Seed of weights, masks and the order of images."),
    ] = 0
    ema: Annotated[
        Decay, Field(description="Decay of the averaged weights, which are saved for use; 0: the last weights are.")
    ] = 0.0
    save_every: Annotated[Count, Field(description="Steps between saves.")] = 1000
    keep_last: Annotated[Count, Field(description="Saves that are kept, the newest.")] = 2
    grid_every: Annotated[Count, Field(description="Steps between grids of sample images.")] = 1000
    log_every: Annotated[Count, Field(description="Steps between lines of the log.")] = 20
    max_bad_steps: Annotated[
        Count, Field(description="Consecutive steps without a finite loss after which training stops.")
    ] = 5
    precision: Annotated[
        Literal["auto", "32-true", "bf16-mixed", "16-mixed"],
        Field(description="Floating-point precision, unless --precision is given; auto: bf16-mixed where it is fast."),
    ] = "32-true"
