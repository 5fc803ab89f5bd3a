"""The loop of ``learn-graph`` itself, on a folder of images: its pace, its calls, and how well it learns."""

import json
import time
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
from gpu_rows.measuring import Case, Setting, SkippedError, Values, rounded, wait
from gpu_rows.stand_ins import provide_weights, write_puppets
from gpu_rows.steps import graph_config

RECIPES = ("official", "cpu", "gpu")
_MOST_MINUTES = 1.5  # of a loop, compiling counted
# Calls of the driver that start work, and that wait for it, as the profiler names them.
_LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")
_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
_NUMBERS_READ = "aten::_local_scalar_dense"


class Watch:
    """Looks at the steps of a run: lets it go on for a while once all is warm, profiles some steps, and stops it.

    ``profiled_from`` is the number of steps before those that were profiled, None where the run ended sooner.
    """

    def __init__(self, setting: Setting) -> None:
        self.device = setting.device
        self.warm_after, self.span_s, self.num_profiled = setting.pick((20, 15.0, 10), (1, 0.0, 1))
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if setting.on_cuda else [])]
        self.profiler = profile(activities=activities)
        self.profiled_from: int | None = None

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look at the runs that are trained meanwhile."""
        plain = Run.steps
        Run.steps = lambda run: self._steps(run, plain(run))
        try:
            yield
        finally:
            Run.steps = plain

    def _steps(self, run: Run, steps: Iterator[int]) -> Iterator[int]:
        warm_s = 0.0
        for step in steps:
            if step == self.warm_after:
                warm_s = time.monotonic()
            is_time = step > self.warm_after and time.monotonic() - warm_s >= self.span_s
            if is_time and self.profiled_from is None:
                wait(self.device)
                self.profiler.start()
                self.profiled_from = step
            elif self.profiled_from is not None and step == self.profiled_from + self.num_profiled:
                self.profiler.stop()
                run.stopped_by = "the end of the measurement"
            yield step

    def calls_of_a_step(self, trace: Path) -> Values:
        """What a step called; numbers read for the log are among it where a log step was."""
        self.profiler.export_chrome_trace(str(trace))  # read sooner than the profiler's own tables are made
        counts = Counter(event.get("name") for event in json.loads(trace.read_text())["traceEvents"])
        trace.unlink()
        on_cuda = self.device == "cuda"
        sums = {
            "operations": sum(count for name, count in counts.items() if str(name).startswith("aten::")),
            "kernel launches": sum(counts[name] for name in _LAUNCHES) if on_cuda else None,
            "waits for the device": sum(counts[name] for name in _WAITS) if on_cuda else None,
            "numbers read": counts[_NUMBERS_READ],
        }
        return {name: None if value is None else value / self.num_profiled for name, value in sums.items()}


def pace(folder: Path, *, first: int, last: int) -> Values:
    """Milliseconds a step and the share of waiting for data between two steps, as a run has logged them."""
    lines = [json.loads(line) for line in (folder / METRICS_NAME).read_text(encoding="utf-8").splitlines()]
    begun_s = lines[0]["step"] / lines[0]["steps_per_second"]
    lines = [line for line in lines if first <= line["step"] <= last]
    passed_s = [line["step"] / line["steps_per_second"] for line in lines]
    waited_s = [line["waiting_share"] * passed for line, passed in zip(lines, passed_s, strict=True)]
    if len(lines) < 2:
        raise ValueError(f"between the steps {first} and {last} too little was logged")
    steps, span_s = lines[-1]["step"] - lines[0]["step"], max(passed_s[-1] - passed_s[0], 1e-9)
    return {
        "step ms": 1e3 * span_s / steps,
        "waiting share": max(0.0, waited_s[-1] - waited_s[0]) / span_s,
        "first steps s": begun_s,
        "steps": steps,
    }


def measure(recipe: str, setting: Setting, *, compiled: bool) -> Values:
    """Pace and calls of a recipe's loop, in half precision on a GPU that has it, compiled there or not."""
    note = None if setting.small else provide_weights(setting.folder)
    data = write_puppets(setting.folder / "pictures", count=setting.pick(2000, 16), size=setting.pick(128, 64))
    length = {"steps": 5, "log_every": 1} if setting.small else {"save_every": 10**6, "grid_every": 10**6}
    values = {"model": {"num_keypoints": 16}, "data": {"name": str(data)}, "training": length}
    folder, watch = setting.folder / "runs" / f"{recipe}-{compiled}", Watch(setting)
    precision = best_precision(setting.device) if setting.on_cuda else None
    does_compile = compiled and setting.on_cuda and not setting.small
    launch = Launch(folder, 1, precision=precision, max_minutes=_MOST_MINUTES, progress=False, compile=does_compile)
    with watch.looking():
        run = train_graph(graph_config(recipe, setting, values), launch)
    if watch.profiled_from is None:
        raise ValueError(f"after {run.progress.step} steps, {_MOST_MINUTES} minutes, it was not warm yet")
    found = pace(folder, first=watch.warm_after, last=watch.profiled_from)
    calls = watch.calls_of_a_step(setting.folder / "trace.json")
    return {**rounded({**found, **calls}), "weights": note}


def cases(setting: Setting) -> Iterator[Case]:
    """Each recipe, and one not compiled."""
    for recipe in RECIPES:
        yield Case(f"learn-graph --recipe {recipe}, K = 16", partial(measure, recipe, setting, compiled=True))
    name = "learn-graph --recipe official --no-compile, K = 16"
    yield Case(name, partial(measure, "official", setting, compiled=False))


def learn(recipe: str, setting: Setting) -> Values:
    """The error on the test people of faces68 after so many minutes."""
    if setting.faces68 is None:
        raise SkippedError("give --faces68 ROOT")
    if not setting.small and provide_weights(setting.folder) is not None:
        raise ValueError("this needs the true feature weights: autolink-gen weights fetch vgg16")
    values: dict[str, Any] = {"model": {"num_keypoints": 16}, "data": {"name": str(setting.faces68)}}
    config = graph_config(recipe, setting, {**values, "training": {"steps": 2} if setting.small else {}})
    folder = setting.folder / "faces68" / recipe
    run = train_graph(config, Launch(folder, devices=1, max_minutes=setting.minutes, progress=False))
    report = autolink_gen.evaluate(folder, data=setting.faces68, device=setting.device, progress=no_progress)
    return {**rounded({"NME %": report.nme_percent}), "steps": run.progress.step, "of": config.training.steps}


def learning_cases(setting: Setting) -> Iterator[Case]:
    """Each recipe that was asked for."""
    for recipe in setting.recipes:
        name = f"faces68, recipe {recipe}, K = 16, {setting.minutes:g} minutes"
        yield Case(name, partial(learn, recipe, setting))
