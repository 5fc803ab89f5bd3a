"""What a GPU makes of the library: time and memory beside the authors' edge map, rates, and how well a graph learns.

    python benchmarks/gpu.py --json gpu.json
    python benchmarks/gpu.py --faces68 /data/faces68
    python benchmarks/gpu.py --small

Needs no network and takes at most eight minutes, and with --faces68 as many more as a graph is to learn for. Every
section runs in a process of its own, which is stopped when its time is up; rows that fail say why, and the others are
measured. --small makes all so small that it takes seconds on a CPU: it shows that every row works, and no speed.
"""

import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from gpu_rows.measuring import Row, Setting, markdown, rows_of

from autolink_gen.common.files import write_text_atomically

# Imported once, where the package is installed, and not in every section; that does not begin to use CUDA.
_PRELOADED = ["training.graph", "evaluation.evaluate", "inference.detect_files", "inference.transfer_files"]
_PRELOADED = [*(f"autolink_gen.{name}" for name in _PRELOADED), "torch.utils.tensorboard"]
_MOST_S = 470.0  # of all sections, but for the learning on faces68
_GRACE_S = 30.0  # for the row that runs when a section's time is up


class Section(NamedTuple):
    """A part of the table: a function of `gpu_rows` that gives its cases, and its time limit in seconds."""

    name: str
    module: str
    function: str
    limit_s: float


SECTIONS = (
    Section("edge map", "edge_maps", "cases", 50),
    Section("training step", "steps", "cases", 120),
    Section("loop", "loops", "cases", 180),
    Section("rates", "rates", "cases", 60),
    Section("learning", "loops", "learning_cases", 90),
)


def measure_section(section: Section, setting: Setting, limit_s: float, results: Connection) -> None:
    """Send the rows of a section, in a process of its own."""
    if not setting.on_cuda:
        torch.set_num_threads(min(2, torch.get_num_threads()))
    cases = getattr(import_module(f"gpu_rows.{section.module}"), section.function)
    for row in rows_of(section.name, cases(setting), limit_s=limit_s):
        results.send(row)


def run_section(section: Section, setting: Setting, limit_s: float) -> Iterator[Row]:
    """The rows of a section as they come; one that says so where its process ended early or had to be stopped."""
    started = time.monotonic()
    context = multiprocessing.get_context("forkserver" if sys.platform != "win32" else "spawn")
    if sys.platform != "win32":
        context.set_forkserver_preload(_PRELOADED)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=measure_section, args=(section, setting, limit_s, sender))
    process.start()
    sender.close()
    try:
        while receiver.poll(max(0.0, started + limit_s + _GRACE_S - time.monotonic())):
            yield receiver.recv()
        yield Row(section.name, "the rest", error=f"stopped after {limit_s + _GRACE_S:.0f} s")
    except EOFError:
        process.join()
        if process.exitcode:
            yield Row(section.name, "the rest", error=f"the process ended with exit code {process.exitcode}")
    finally:
        process.kill()
        process.join()


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    has_cuda = torch.cuda.is_available()
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if has_cuda else "CPU",
        "memory_gb": round(torch.cuda.get_device_properties(0).total_memory / 1e9, 1) if has_cuda else None,
        "cpu_cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
    }


def write_json(file: Path, machine: dict[str, Any], rows: list[Row]) -> None:
    """All rows so far."""
    content = {"machine": machine, "rows": [asdict(row) for row in rows]}
    write_text_atomically(file, json.dumps(content, indent=1) + "\n")


@click.command()
@click.option("--json", "file", type=click.Path(path_type=Path), help="Also write the rows here, as they come.")
@click.option("--small", is_flag=True, help="Tiny networks, some seconds on a CPU: whether all works.")
@click.option("--faces68", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Root of faces68.")
@click.option("--minutes", default=6.0, show_default=True, help="Of learning on faces68.")
@click.option("--recipes", default="gpu", show_default=True, help="Which learn on faces68, with commas between.")
@click.option("--only", default=",".join(section.name for section in SECTIONS), show_default=True, help="Sections.")
def main(file: Path | None, small: bool, faces68: Path | None, minutes: float, recipes: str, only: str) -> None:
    """Measure every row and print them as Markdown tables."""
    sections = [section for section in SECTIONS if section.name in only.split(",")]
    if not sections:
        raise click.BadParameter(f"{only!r} names no section", param_hint="--only")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not small:
        raise click.UsageError("there is no CUDA device here: --small shows whether all works")
    found, about = [], machine()
    print(", ".join(f"{name} {value}" for name, value in about.items() if value is not None))
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(device, Path(folder), small, faces68, minutes, tuple(recipes.split(",")))
        ends = time.monotonic() + _MOST_S
        for section in sections:
            rows, limit_s = [], min(section.limit_s, ends - _GRACE_S - time.monotonic())
            if section.name == "learning" and faces68 is not None:
                limit_s = (60 * minutes + section.limit_s) * len(setting.recipes)
            for row in run_section(section, setting, limit_s):
                rows.append(row)
                print(f"{section.name}: {row.name}: {row.error or 'done'}, {row.took_s:.1f} s", file=sys.stderr)
                if file is not None:
                    write_json(file, about, [*found, *rows])
            found += rows
            print(f"\n## {section.name}\n\n{markdown(rows)}", flush=True)


if __name__ == "__main__":
    main()
