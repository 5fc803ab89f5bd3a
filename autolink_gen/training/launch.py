"""Starting a run: where it runs, on what devices, and each process's share of a batch."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from autolink_gen.common.devices import best_device, best_precision, usable_device
from autolink_gen.common.fabric import Fabric
from autolink_gen.common.files import reason_of
from autolink_gen.config import RunLengthConfig
from autolink_gen.training.loggers import Logger, check_installed

log = logging.getLogger(__name__)
_KINDS = ("cpu", "cuda", "mps")


@dataclass(frozen=True)
class Launch:
    """Where and on what a run runs; but for the precision, none of it changes what the run computes on one device.

    ``devices`` is their number, "auto", a kind of them, "cpu", "cuda" or "mps", an Apple GPU, which "auto" leaves, or
    one GPU, "cuda:1".
    ``announce`` is told the step that the run goes on from, 0 for a new one, once its folder is seen to fit.
    ``compile`` compiles the networks, which changes the rounding of what they compute; None: on CUDA alone. The
    ``compiler`` is one of torch's by name, or a function of a graph and examples of its inputs.
    ``command`` is what was typed, which the run's settings file keeps as a comment.
    ``loggers`` take the run's numbers and pictures: services by name, or objects of your own, see
    :mod:`autolink_gen.training.loggers`; None: TensorBoard, where it is installed.
    """

    folder: Path
    devices: int | str = "auto"
    nodes: int = 1
    precision: str | None = None  # None: as the run's settings say
    max_minutes: float | None = None
    fresh: bool = False
    progress: bool = True
    announce: Callable[[int], None] = lambda step: None
    compile: bool | None = None
    compiler: str | Callable[..., Any] = "inductor"
    command: str = ""
    loggers: Sequence[str | Logger] | None = None

    def __post_init__(self) -> None:
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise ValueError(f"max_minutes must be positive, got {self.max_minutes}")
        if not isinstance(self.compile, bool | None):
            raise ValueError(f"compile must be True, False or None, got {self.compile!r}")
        check_installed(self.loggers)

    def compiles_on(self, kind: str) -> bool:
        """Whether the networks of a run on this kind of device are compiled."""
        return kind == "cuda" if self.compile is None else self.compile


def accelerator_of(devices: int | str) -> str:
    """The kind of the devices that a launch takes, "cpu", "cuda" or "mps"."""
    kind = str(devices).partition(":")[0]
    return kind if kind in _KINDS else best_device()


def precision_on(kind: str, launch: Launch, length: RunLengthConfig) -> str:
    """The precision of a run on this kind of device, "32-true" say."""
    precision = launch.precision or length.precision
    return best_precision(kind) if precision == "auto" else precision


def _kind_and_devices(devices: int | str) -> tuple[str, int | str | list[int]]:
    """The kind of the devices, and which of them Fabric is to take; ValueError where there are none such."""
    text, kind = str(devices), accelerator_of(devices)
    if not (text.isdigit() or text in ("auto", *_KINDS) or re.fullmatch(r"cuda:\d{1,4}", text)):
        raise ValueError(
            f"--devices {devices} names none: give their number, cpu, cuda for all GPUs, cuda:1 for one, mps or auto"
        )
    if (kind == "cuda" and not torch.cuda.is_available()) or (kind == "mps" and not torch.backends.mps.is_available()):
        try:
            usable_device(kind)  # says why
        except ValueError as error:
            raise ValueError(f"--devices {devices}: {error}, or --devices auto, which takes what there is") from None
    if text.isdigit():
        return kind, int(text)
    if ":" in text:
        return kind, [int(text.partition(":")[2])]
    return kind, "auto" if kind == "cuda" else 1


def start_fabric(launch: Launch, length: RunLengthConfig) -> Fabric:
    """Fabric on the devices there are, every process seeded alike; raises ValueError for devices there are not."""
    if launch.devices == "mps" and launch.compile:
        raise ValueError("--compile is not for --devices mps, on which torch's compiler is unfinished: leave it out")
    kind, devices = _kind_and_devices(launch.devices)
    if kind == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True  # batches are of one size from the first step to the last
    precision = precision_on(kind, launch, length)
    try:
        strategy = "auto" if (devices in (1, "auto") or isinstance(devices, list)) and launch.nodes == 1 else "ddp"
        fabric = Fabric(
            accelerator=kind,
            devices=devices,
            num_nodes=launch.nodes,
            precision=precision,  # type: ignore[arg-type]
            strategy=strategy,
        )
    except (RuntimeError, ValueError, TypeError) as error:
        raise ValueError(
            f"cannot run with --devices {launch.devices} --precision {precision}: {reason_of(error)}; "
            f"--devices auto takes what there is"
        ) from error
    fabric.launch()
    if precision == "16-mixed" and fabric.device.type == "cpu" and fabric.is_global_zero:
        log.warning("a CPU has no --precision 16-mixed: training in bf16-mixed instead")
    torch.manual_seed(length.seed)
    return fabric


def share_batch(batch_size: int, world_size: int) -> int:
    """One process's share of a batch; raises ValueError where it does not divide."""
    if batch_size % world_size:
        raise ValueError(
            f"training.batch_size {batch_size} cannot be shared by {world_size} devices evenly: "
            f"choose a multiple of {world_size}"
        )
    return batch_size // world_size
