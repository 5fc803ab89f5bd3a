"""Time and memory of the edge map, forward and backward: its definition against the fast twin.

Run from the repository: python benchmarks/edge_map.py
"""

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click
import torch
import torch.nn.functional as F
from torch import Tensor

from autolink_gen.ops.edges import edge_map, edge_map_dense

FUNCTIONS = {"dense": edge_map_dense, "fast": edge_map}
SIGMA2 = 5e-5


def random_graph(batch: int, num_keypoints: int) -> tuple[Tensor, Tensor]:
    """Keypoints spread over the image and weights of all strengths, both wanting gradients."""
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.rand(batch, num_keypoints, 2, generator=generator) * 1.6 - 0.8
    weights = F.softplus(torch.randn(num_keypoints, num_keypoints, generator=generator) - 2)
    return keypoints.requires_grad_(), weights.requires_grad_()


def pass_both_ways(name: str, graph: tuple[Tensor, Tensor], size: int) -> float:
    """Seconds of one forward and backward pass."""
    start = time.perf_counter()
    FUNCTIONS[name](*graph, sigma2=SIGMA2, size=size).sum().backward()
    return time.perf_counter() - start


def status_bytes(field: str) -> int:
    """A number of bytes from this process's own account (Linux)."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None, f"/proc/self/status has no {field}"
    return int(found[1]) * 1024


def extra_memory(name: str, num_keypoints: int, batch: int, size: int, threads: int) -> int:
    """Peak resident bytes of a pass beyond those before it, in a fresh process."""
    options = f"--child {name} --keypoints {num_keypoints} --batch {batch} --size {size} --threads {threads}"
    command = [sys.executable, __file__, *options.split()]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_own_memory(name: str, num_keypoints: int, batch: int, size: int) -> int:
    """The peak of this process beyond what it held before the pass; a small pass goes first."""
    pass_both_ways(name, random_graph(1, 3), 16)
    graph = random_graph(batch, num_keypoints)
    before = status_bytes("VmRSS")
    pass_both_ways(name, graph, size)
    return status_bytes("VmHWM") - before


def table_row(num_keypoints: int, *, batch: int, size: int, rounds: int, threads: int, max_dense: int) -> str:
    """Both functions at one number of keypoints."""
    names = ["fast"] if num_keypoints > max_dense else ["fast", "dense"]
    memory = {name: extra_memory(name, num_keypoints, batch, size, threads) / 2**20 for name in names}
    graph = random_graph(batch, num_keypoints)
    times: dict[str, list[float]] = {name: [] for name in names}
    pass_both_ways("fast", graph, size)
    for _ in range(rounds):
        for name in names:
            times[name].append(pass_both_ways(name, graph, size))
    fast_ms, fast_mib = 1e3 * statistics.median(times["fast"]), memory["fast"]
    edges = num_keypoints * (num_keypoints - 1) // 2
    start = f"| {num_keypoints} | {edges} | "
    if "dense" not in names:
        return f"{start}not run | {fast_ms:.0f} | | not run | {fast_mib:.1f} | |"
    dense_ms, dense_mib = 1e3 * statistics.median(times["dense"]), memory["dense"]
    ratio = statistics.median(d / f for d, f in zip(times["dense"], times["fast"], strict=True))
    return (
        f"{start}{dense_ms:.0f} | {fast_ms:.0f} | {ratio:.0f} | "
        f"{dense_mib:.0f} | {fast_mib:.1f} | {dense_mib / max(fast_mib, 0.1):.0f} |"
    )


@click.command()
@click.option("--keypoints", default="4,8,16,32,64", show_default=True, help="Numbers of keypoints.")
@click.option("--batch", default=8, show_default=True)
@click.option("--size", default=128, show_default=True, help="Pixels.")
@click.option("--rounds", default=5, show_default=True, help="Interleaved timings, of which the median.")
@click.option("--threads", default=2, show_default=True)
@click.option(
    "--max-dense", default=32, show_default=True, help="Most keypoints of the definition, which takes 20 GiB at 64."
)
@click.option("--child", type=click.Choice(list(FUNCTIONS)), hidden=True)
def main(keypoints: str, batch: int, size: int, rounds: int, threads: int, max_dense: int, child: str | None) -> None:
    """Time both forms of the edge map and their memory, as a Markdown table."""
    torch.set_num_threads(threads)
    counts = [int(count) for count in keypoints.split(",")]
    if child is not None:
        print(measure_own_memory(child, counts[0], batch, size))
        return
    print(f"torch {torch.__version__}, {threads} threads, batch {batch}, {size}x{size}, sigma2 {SIGMA2}, float32, "
          f"forward + backward, median of {rounds} interleaved rounds.")  # fmt: skip
    print("Memory: the largest resident set during one pass less that before it (VmHWM - VmRSS), a fresh process each.")
    print(f"The definition is not run beyond K = {max_dense}: at 64 it needs over 20 GiB.\n")
    print("| K | edges | dense ms | fast ms | times faster | dense MiB | fast MiB | times less |")
    print("|---|---|---|---|---|---|---|---|")
    for count in counts:
        row = table_row(count, batch=batch, size=size, rounds=rounds, threads=threads, max_dense=max_dense)
        print(row, flush=True)


if __name__ == "__main__":
    main()
