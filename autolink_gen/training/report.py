"""What is said of a training run: that it goes on, how it ended, how large its networks are."""

import signal
from collections.abc import Iterator, Mapping

import torch
from torch import nn

from autolink_gen.common.stopping import StoppedError
from autolink_gen.config import RunLengthConfig
from autolink_gen.runs import Kind, RunFolder
from autolink_gen.training.batch_source import MOST_WORKERS
from autolink_gen.training.engine import Run
from autolink_gen.training.launch import Launch, accelerator_of, precision_on


def resuming(step: int, *, steps: int) -> list[str]:
    """What a repeated command finds: a run of so many steps at this one; nothing of a new run."""
    if step > steps:
        return [f"the run is at step {step}, past {steps}: without --steps it goes on to its end, --fresh starts anew"]
    if step == steps:
        return [f"finished already, at step {step}: more --steps go on, --fresh starts anew"]
    return [f"going on from step {step} of {steps}"] if step else []


def ending(run: Run) -> list[str]:
    """Why a run stopped before its end, and what it skipped."""
    lines = []
    if run.stopped_by:
        done, steps = run.progress.step, run.length.steps
        lines.append(f"stopped by {run.stopped_by} at step {done} of {steps}; repeat the command to go on")
    if skipped := run.progress.skipped_steps:
        steps_were = "1 step was" if skipped == 1 else f"{skipped} steps were"
        lines.append(f"{steps_were} skipped: a loss, or its gradient, was not finite")
    return lines


def machine_lines(launch: Launch, length: RunLengthConfig, *, workers: int | None) -> list[str]:
    """What a run takes of this machine, also where settings say auto or null, as comments of YAML."""
    kind, devices = accelerator_of(launch.devices), str(launch.devices)
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if not count:
        return ["# device: cuda, which is not here"]
    if workers is None:
        readers = f"up to {MOST_WORKERS}, as cores and shared memory allow" if kind == "cuda" else "0"
    else:
        readers = str(workers)
    return [
        f"# device: {devices if ':' in devices else f'{devices if devices.isdigit() else count} x {kind}'}",
        f"# precision: {precision_on(kind, launch, length)}",
        f"# compiled: {'yes' if launch.compiles_on(kind) else 'no'}",
        f"# processes that read images (data.workers): {readers}",
    ]


def run_of(trained: Run, *, kind: Kind) -> RunFolder:
    """The run that a training has made; StoppedError where a signal ended it before its end, after the save."""
    number = signal.Signals.__members__.get(trained.stopped_by or "")
    if number is not None:
        done, steps = trained.progress.step, trained.length.steps
        where = f"{trained.folder} at step {done} of {steps}"
        raise StoppedError(number, f"{number.name} stopped {where}, which is saved; repeat the call to go on")
    return RunFolder.find(trained.folder, kind=kind)


def parameter_table(networks: Mapping[str, nn.Module]) -> Iterator[str]:
    """The parameters of each network by block, as comments of YAML."""
    for name, network in networks.items():
        yield f"# {name}"
        for block, count in _parameters_by_block(network):
            yield f"#   {block:<18} {count:>12,}"
        yield f"#   {'in all':<18} {sum(p.numel() for p in network.parameters()):>12,}"


def _parameters_by_block(network: nn.Module) -> list[tuple[str, int]]:
    rows = [(name, parameter.numel()) for name, parameter in network.named_parameters(recurse=False)]
    for name, child in network.named_children():
        modules = list(child.named_children()) if name == "blocks" else [("", child)]
        for index, module in modules:
            rows.append((f"{name}.{index}".rstrip("."), sum(p.numel() for p in module.parameters())))
    return rows
