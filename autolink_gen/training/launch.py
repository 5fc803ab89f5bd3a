"""Starting a run: where it runs, on what devices, and each process's share of a batch."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from autolink_gen.common.devices import best_device, best_precision
from autolink_gen.common.files import reason_of
from autolink_gen.config import RunLengthConfig
from autolink_gen.training.loggers import Logger

log = logging.getLogger(__name__)
_KINDS = ("cpu", "cuda", "mps")


@dataclass(frozen=True)
class Launch:
    """Where and on what a run runs; but for the precision, none of it changes what the run computes on one device.

    ``devices`` is their number, "auto", or a kind of them: "cpu", "cuda" or "mps", an Apple GPU, which "auto" leaves.
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

    def compiles_on(self, kind: str) -> bool:
        """Whether the networks of a run on this kind of device are compiled."""
        return kind == "cuda" if self.compile is None else self.compile


def accelerator_of(devices: int | str) -> str:
    """The kind of the devices that a launch takes, "cpu", "cuda" or "mps"."""
    return str(devices) if devices in _KINDS else best_device()


def start_fabric(launch: Launch, length: RunLengthConfig) -> Fabric:
    """Fabric on the devices there are, every process seeded alike; raises ValueError for devices there are not."""
    kind = accelerator_of(launch.devices)
    devices = int(launch.devices) if str(launch.devices).isdigit() else launch.devices
    if kind == "mps" and launch.compile:
        raise ValueError("--compile is not for --devices mps, on which torch's compiler is unfinished: leave it out")
    if kind == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True  # batches are of one size from the first step to the last
        devices = "auto" if devices == "cuda" else devices
    elif devices in ("auto", kind):
        devices = 1
    precision = launch.precision or length.precision
    precision = best_precision(kind) if precision == "auto" else precision
    try:
        strategy = "auto" if devices in (1, "auto") and launch.nodes == 1 else "ddp"
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
