"""Run configurations: frozen dataclasses, made from the values of recipes, saved with the run."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any, Literal, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from autolink_gen.common.checks import require
from autolink_gen.common.text import shown
from autolink_gen.data.identity import public_data
from autolink_gen.graph_settings import EdgesConfig, ThicknessConfig, ViewsConfig
from autolink_gen.models.autolink import AutoLinkConfig
from autolink_gen.models.blocks import check_width
from autolink_gen.models.generator import GanConfig
from autolink_gen.models.transfer import TransferConfig

Config = TypeVar("Config")
# No run needs more, and a stranger's recipe may ask for anything.
MAX_WORKERS, MAX_COUNT = 256, 10**9
_OWN_CHECK = re.compile(r"(?:[a-z]+\.)?(?P<field>[a-z]\w*) must ")  # how a group says what is wrong with a field
_SHOWN = 5  # problems of a configuration that one message lists


@dataclass(frozen=True)
class DataConfig:
    """Which pictures: ``name`` is a data set of the catalogue, a folder or shards, ``root`` where such sets lie."""

    name: str = "puppets"
    root: str | None = None
    classes: tuple[str, ...] = ()  # the class folders to take, as cat and dog of afhq; none: all
    flip: float = 0.0  # probability of mirroring a picture
    workers: int = 0  # processes that read pictures; 0 reads in the training process
    hold_out: int = 0  # leave every Nth person of the training part out, to tune on; 0: none

    def __post_init__(self) -> None:
        require(0 <= self.flip <= 1, "data.flip", "in [0, 1]", self.flip)
        require(0 <= self.workers <= MAX_WORKERS, "data.workers", f"0 to {MAX_WORKERS}", self.workers)
        require(self.hold_out >= 0 and self.hold_out != 1, "data.hold_out", "0, or 2 or more", self.hold_out)


@dataclass(frozen=True)
class PairDataConfig(DataConfig):
    """Which clips; ``varied`` is the share of pairs of frames that are recoloured and moved a little, both alike."""

    varied: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.varied <= 1, "data.varied", "in [0, 1]", self.varied)
        require(self.hold_out == 0, "data.hold_out", "0 for clips, whose persons nothing names", self.hold_out)


@dataclass(frozen=True)
class LossConfig:
    """The perceptual loss (AutoLink eq. 6): whose features, which distance, the width in pixels they are taken at."""

    features: Literal["vgg16", "alexnet", "random"] = "vgg16"
    distance: Literal["l1", "mse"] = "mse"
    resize: int | None = None
    unit_length: bool = False  # scale each position's feature vector to length 1 first, as LPIPS does
    weights: str | None = None  # a file with the features' weights; None: found or fetched

    def __post_init__(self) -> None:
        fits = self.resize is None or 32 <= self.resize <= 2048
        require(fits, "loss.resize", "at least 32 pixels and at most 2048", self.resize)


@dataclass(frozen=True)
class OptimiserConfig:
    """Adam or AdamW; the learning rate rises over ``warmup_steps`` and stays, or falls along a cosine."""

    name: Literal["adam", "adamw"] = "adam"
    lr: float = 1e-4
    edge_weight_lr: float | None = None  # of the raw edge weights and alpha; None: as lr
    heatmap_lr: float | None = None  # of the convolution that makes the heatmaps; None: as lr
    mapping_lr: float | None = None  # of the generator's mapping from z to w; None: as lr
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        for name in ("lr", "edge_weight_lr", "heatmap_lr", "mapping_lr"):
            require((rate := getattr(self, name)) is None or 0 < rate < math.inf, f"optimiser.{name}", "positive", rate)
        require(all(0 <= b < 1 for b in self.betas), "optimiser.betas", "in [0, 1)", self.betas)
        require(self.warmup_steps >= 0, "optimiser.warmup_steps", "0 or more", self.warmup_steps)
        require(self.clip_norm is None or self.clip_norm > 0, "optimiser.clip_norm", "positive", self.clip_norm)


@dataclass(frozen=True)
class RunLengthConfig:
    """How long, in what batches, with what seed, and what is kept of it."""

    steps: int = 20_000
    batch_size: int = 64  # over all devices
    seed: int = 0
    ema: float = 0.0  # decay of the averaged weights that are saved for use; 0: the last weights
    save_every: int = 1000
    keep_last: int = 2
    grid_every: int = 1000
    log_every: int = 20
    max_bad_steps: int = 5  # consecutive steps without a finite loss before training stops
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "32-true"  # where the command names none

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "save_every", "keep_last", "grid_every", "log_every", "max_bad_steps"):
            value = getattr(self, name)
            require(value >= 1, f"training.{name}", "at least 1", value)
            require(value <= MAX_COUNT, f"training.{name}", f"at most {MAX_COUNT:,}", value)
        require(abs(self.seed) < 2**63, "training.seed", "a number of 63 bits", self.seed)
        require(0 <= self.ema < 1, "training.ema", "in [0, 1)", self.ema)


@dataclass(frozen=True)
class GraphRunConfig:
    """All that a run of the graph learner depends on; the defaults are the paper's recipe."""

    model: AutoLinkConfig = field(default_factory=AutoLinkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    training: RunLengthConfig = field(default_factory=RunLengthConfig)
    thickness: ThicknessConfig = field(default_factory=ThicknessConfig)
    views: ViewsConfig = field(default_factory=ViewsConfig)
    edges: EdgesConfig = field(default_factory=EdgesConfig)

    def __post_init__(self) -> None:
        if self.model.detector == "features" and self.model.features is None:
            object.__setattr__(self, "model", replace(self.model, features=self.loss.features))


@dataclass(frozen=True)
class GraphChoice:
    """The graph that a generator paints on, as found in ``run`` when the run began; the run keeps a copy of it.

    ``dropped`` are the keypoints that are left out of the copy, those of ``dropped_clusters`` where the whole graph is
    parted into ``clusters``.
    """

    run: str = ""
    num_keypoints: int = 0
    clusters: int = 0
    dropped_clusters: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True)
class PoseConfig:
    """The poses to paint: another picture's keypoints; a share of them jittered, another mixed from two pictures.

    ``jitter`` is a standard deviation in the units of keypoints, of which the width has two. ``moved_share``: the
    share of real pictures that are turned, scaled and shifted a little first, for more poses than the pictures have.
    """

    jitter_share: float = 0.1
    jitter: float = 0.02
    mix_share: float = 0.1
    moved_share: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.moved_share <= 1, "pose.moved_share", "in [0, 1]", self.moved_share)
        require(0 <= self.jitter_share <= 1, "pose.jitter_share", "in [0, 1]", self.jitter_share)
        require(0 <= self.mix_share <= 1, "pose.mix_share", "in [0, 1]", self.mix_share)
        require(self.jitter >= 0, "pose.jitter", "0 or more", self.jitter)


@dataclass(frozen=True)
class AdversarialConfig:
    """The adversarial losses (AutoLink eq. 7-9).

    ``gamma`` weighs the gradient penalty, taken at every ``penalty_every``-th step and then so many times as heavy;
    None: ``default_gamma``. ``relativistic``: compare real with painted pictures in pairs, and penalise the
    gradients of both. ``augment``: show the discriminator moved, recoloured and partly covered pictures, real and
    painted, which helps where there are few. ``mismatched``: the share of painted pictures in whose place the
    discriminator is shown real ones beside the edge map of another, which it must refuse (Reed et al. 2016), so that
    it learns to look at edges. ``structure`` weighs, in the generator's loss, how much farther the keypoints detected
    in what is painted are from those asked for than in real pictures, both moved a little.
    """

    gamma: float | None = None
    penalty_every: int = 8
    relativistic: bool = False
    augment: bool = False
    mismatched: float = 0.0
    structure: float = 0.0

    def __post_init__(self) -> None:
        require(self.gamma is None or self.gamma >= 0, "loss.gamma", "0 or more", self.gamma)
        require(self.penalty_every >= 1, "loss.penalty_every", "at least 1", self.penalty_every)
        require(0 <= self.mismatched < 1, "loss.mismatched", "in [0, 1)", self.mismatched)
        require(self.structure >= 0, "loss.structure", "0 or more", self.structure)


def default_gamma(image_size: int) -> float:
    """0.2 at 64 pixels, and four times as much at twice the size.

    A picture shown at twice the size has a quarter of the squared gradient norm: this keeps the penalty as it was.
    """
    return 0.2 * (image_size / 64) ** 2


@dataclass(frozen=True)
class ProgressConfig:
    """How good the painted pictures are, measured at each save: Frechet distance of VGG16 features to held-out ones.

    ``pictures`` of each are compared, 0: none.
    """

    pictures: int = 500

    def __post_init__(self) -> None:
        fits = self.pictures == 0 or 2 <= self.pictures <= MAX_COUNT
        require(fits, "progress.pictures", f"0, or from 2 to {MAX_COUNT:,}", self.pictures)


@dataclass(frozen=True)
class GanRunConfig:
    """All that a run of the GAN depends on; the defaults are the paper's recipe."""

    model: GanConfig = field(default_factory=GanConfig)
    graph: GraphChoice = field(default_factory=GraphChoice)
    data: DataConfig = field(default_factory=DataConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    loss: AdversarialConfig = field(default_factory=AdversarialConfig)
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(lr=1e-4, betas=(0.0, 0.99), mapping_lr=1e-6)
    )
    training: RunLengthConfig = field(default_factory=lambda: RunLengthConfig(steps=100_000, batch_size=32, ema=0.999))
    progress: ProgressConfig = field(default_factory=ProgressConfig)


@dataclass(frozen=True)
class TransferLossConfig:
    """What the pose-transfer network is trained on: the weights of its three losses (AutoLink, Appendix C.2).

    ``squared``: mean squared error; ``perceptual``: eq. 6; ``adversarial``: eq. 7, 0 leaves the discriminator out.
    ``discriminator_width`` multiplies the discriminator's channel counts.
    """

    squared: float = 1.0
    perceptual: float = 1.0
    adversarial: float = 0.1
    discriminator_width: float = 1.0

    def __post_init__(self) -> None:
        for name in ("squared", "perceptual", "adversarial"):
            require(getattr(self, name) >= 0, f"loss.{name}", "0 or more", getattr(self, name))
        check_width("loss.discriminator_width", self.discriminator_width)


@dataclass(frozen=True)
class TransferRunConfig:
    """All that a run of the pose-transfer network depends on; the defaults are the paper's recipe."""

    model: TransferConfig = field(default_factory=TransferConfig)
    graph: GraphChoice = field(default_factory=GraphChoice)
    data: PairDataConfig = field(default_factory=PairDataConfig)
    loss: TransferLossConfig = field(default_factory=TransferLossConfig)
    perceptual: LossConfig = field(default_factory=LossConfig)
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(lr=1e-4, betas=(0.5, 0.99)))
    training: RunLengthConfig = field(default_factory=lambda: RunLengthConfig(steps=100_000, batch_size=32, ema=0.999))
    progress: ProgressConfig = field(default_factory=lambda: ProgressConfig(pictures=200))


def build(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """A configuration from nested plain values; raises ValueError that names each wrong field."""
    adapter = TypeAdapter(kind)
    try:
        return adapter.validate_python(_with_known_keys(kind, dict(values)), strict=False)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        lines = [_problem(problem) for problem in problems[:_SHOWN]]
        lines += [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise ValueError("; ".join(lines)) from None
    except (OverflowError, RecursionError, TypeError) as error:  # of numbers and nests that no setting has
        raise ValueError(f"the settings hold a value that none can have: {shown(str(error))}") from None


def _problem(problem: Any) -> str:
    """What is wrong with one field."""
    name = ".".join(shown(str(part)) for part in problem["loc"])
    message = shown(problem["msg"].removeprefix("Value error, "), most=400)
    value = shown(problem["input"])
    got = f", got {repr(value) if isinstance(problem['input'], str) else value}"
    got = "" if problem["type"] == "value_error" else got
    if name and (own := _OWN_CHECK.match(message)):  # a group may have another name in another kind of run
        return f"{name}.{own['field']} must {message[own.end() :]}"
    named = not name or message.startswith(f"{name}.")
    return message if named else f"{name}: {message}{got}"


def _with_known_keys(kind: Any, values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    known = {name: item.type for name, item in kind.__dataclass_fields__.items()}
    for name, value in values.items():
        if name not in known:
            raise ValueError(
                f"there is no setting {prefix}{shown(name)}; there are {', '.join(prefix + k for k in known)}"
            )
        if is_dataclass(known[name]):
            if not isinstance(value, Mapping):
                raise ValueError(f"{prefix}{name} is a group of settings, got {shown(value)}")
            _with_known_keys(known[name], dict(value), f"{prefix}{name}.")
    return values


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as nested plain values, ready for YAML and JSON; addresses in it without what opens them."""
    return {name: _plain(getattr(config, name)) for name in config.__dataclass_fields__}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_dict(value)
    return public_data(value) if isinstance(value, str) else list(value) if isinstance(value, tuple) else value


def to_yaml(config: Any) -> str:
    """A configuration as YAML, in the order of its fields."""
    return yaml.safe_dump(to_dict(config), sort_keys=False)
