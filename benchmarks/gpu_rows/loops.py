"""The loop of ``learn-graph`` itself, on a folder of images: its pace, its calls, and how well it learns."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

import autolink_gen
from autolink_gen.common.devices import best_precision
from autolink_gen.common.progress import no_progress
from autolink_gen.training.engine import Run
from autolink_gen.training.folders import METRICS_NAME
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from gpu_rows.measuring import Case, Setting, Values, rounded, wait
from gpu_rows.stand_ins import provide_weights, write_puppets
from gpu_rows.steps import graph_config

RECIPES = ("official", "cpu", "gpu")
_LOOP_S = {"official": 75.0, "cpu": 25.0, "gpu": 60.0}  # of which compiling may take a minute
_SETTLED = 0.5  # the share of the lines after which the pace is looked at
# Calls of the driver that start work, and that wait for it, as the profiler names them.
_LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")
_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
_NUMBERS_READ = "aten::_local_scalar_dense"


def changes(setting: Setting, *, steps: int | None = None, log_every: int | None = None) -> dict[str, Any]:
    """A recipe's settings for a loop that is looked at, on a folder of puppets, with 16 keypoints."""
    data = write_puppets(setting.folder / "pictures", count=setting.pick(2000, 16), size=setting.pick(128, 64))
    length = {"steps": steps, "log_every": log_every, "save_every": 10**6, "grid_every": 10**6}
    return {
        "model": {"num_keypoints": 16},
        "data": {"name": str(data)},
        "training": {name: value for name, value in length.items() if value is not None},
    }


def train(recipe: str, setting: Setting, folder: Path, *, minutes: float | None = None, **length: int | None) -> None:
    """Train as `learn-graph` does, in half precision on a GPU that has it."""
    config = graph_config(recipe, setting, changes(setting, **length))
    precision = best_precision(setting.device) if setting.on_cuda else None
    launch = Launch(folder, setting.device, precision=precision, max_minutes=minutes, progress=False)
    train_graph(config, launch)


def pace(folder: Path) -> Values:
    """Milliseconds a step and the share of waiting for data, in the second half of what a run has logged."""
    lines = [json.loads(line) for line in (folder / METRICS_NAME).read_text(encoding="utf-8").splitlines()]
    passed_s = [line["step"] / line["steps_per_second"] for line in lines]
    waited_s = [line["waiting_share"] * passed for line, passed in zip(lines, passed_s, strict=True)]
    half = int(_SETTLED * (len(lines) - 1))
    span_s, steps = passed_s[-1] - passed_s[half], lines[-1]["step"] - lines[half]["step"]
    if not steps:
        raise ValueError(f"{lines[-1]['step']} steps in all are too few to tell")
    return {
        "step ms": 1e3 * span_s / steps,
        "waiting share": (waited_s[-1] - waited_s[half]) / max(span_s, 1e-9),
        "steps": lines[-1]["step"],
        f"first {lines[0]['step']} steps s": passed_s[0],
    }


def measure(recipe: str, setting: Setting) -> Values:
    """The pace of a recipe's loop."""
    note = None if setting.small else provide_weights(setting.folder)
    folder = setting.folder / "runs" / recipe
    small = {"steps": 3, "log_every": 1} if setting.small else {}
    train(recipe, setting, folder, minutes=None if setting.small else _LOOP_S[recipe] / 60, **small)
    return {**rounded(pace(folder)), "weights": note}


def cases(setting: Setting) -> Iterator[Case]:
    """Each recipe."""
    for recipe in RECIPES:
        yield Case(f"learn-graph --recipe {recipe}, K = 16", partial(measure, recipe, setting))


@contextmanager
def profiled_steps(profiler: profile, first: int, last: int, device: str) -> Iterator[None]:
    """Profile the steps from one up to another of the runs that are trained meanwhile."""
    plain = Run.steps

    def steps(run: Run) -> Iterator[int]:
        for step in plain(run):
            if step == first:
                wait(device)
                profiler.start()
            if step == last:
                profiler.stop()
            yield step

    Run.steps = steps
    try:
        yield
    finally:
        Run.steps = plain


def calls_of_a_step(recipe: str, setting: Setting) -> Values:
    """What a step calls, once all is warm; log steps are none of those looked at."""
    note = None if setting.small else provide_weights(setting.folder)
    first, last = setting.pick((10, 20), (1, 2))
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if setting.on_cuda else [])]
    profiler, trace = profile(activities=activities), setting.folder / "trace.json"
    with profiled_steps(profiler, first, last, setting.device):
        train(recipe, setting, setting.folder / "profiled" / recipe, steps=last + 1, log_every=10**6)
    profiler.export_chrome_trace(str(trace))  # read in a fraction of the time that the profiler's own tables take
    counts = Counter(event.get("name") for event in json.loads(trace.read_text())["traceEvents"])
    values: Values = {
        "operations": sum(count for name, count in counts.items() if str(name).startswith("aten::")),
        "kernel launches": sum(counts[name] for name in _LAUNCHES) if setting.on_cuda else None,
        "waits for the device": sum(counts[name] for name in _WAITS) if setting.on_cuda else None,
        "numbers read": counts[_NUMBERS_READ],
    }
    a_step = {name: value / (last - first) for name, value in values.items() if isinstance(value, int)}
    return {**values, **rounded(a_step), "weights": note}


def count_cases(setting: Setting) -> Iterator[Case]:
    """Each recipe."""
    for recipe in RECIPES:
        yield Case(f"a step of {recipe}, K = 16", partial(calls_of_a_step, recipe, setting))


def learn(recipe: str, setting: Setting) -> Values:
    """The error on the test people of faces68 after so many minutes."""
    if setting.faces68 is None:
        raise ValueError("give --faces68 ROOT")
    if not setting.small and provide_weights(setting.folder) is not None:
        raise ValueError("this needs the true feature weights: autolink-gen weights fetch vgg16")
    values = {"model": {"num_keypoints": 16}, "data": {"name": str(setting.faces68)}}
    config = graph_config(recipe, setting, {**values, "training": {"steps": 2} if setting.small else {}})
    folder = setting.folder / "faces68" / recipe
    run = train_graph(config, Launch(folder, devices=setting.device, max_minutes=setting.minutes, progress=False))
    report = autolink_gen.evaluate(folder, data=setting.faces68, device=setting.device, progress=no_progress)
    return {**rounded({"NME %": report.nme_percent}), "steps": run.progress.step, "of": config.training.steps}


def learning_cases(setting: Setting) -> Iterator[Case]:
    """Each recipe that was asked for."""
    for recipe in setting.recipes:
        name = f"faces68, recipe {recipe}, K = 16, {setting.minutes:g} minutes"
        yield Case(name, partial(learn, recipe, setting))
