"""Milliseconds an image of the detector on features against the paper's, both folded for inference.

Run from the repository: python benchmarks/detectors.py
"""

import statistics
from typing import Any

import click
import torch
from detector import median_ratio, seconds_in_turns

from autolink_gen.models.autolink import AutoLink, AutoLinkConfig

SIZE = 128  # pixels, of the images that every detector is given
KINDS: dict[str, dict[str, Any]] = {
    "residual, width 1/4": {"image_size": SIZE, "width": 0.25},
    "features, as in the recipes": {"image_size": 64, "width": 0.25, "detector": "features"},
    "features, first three maps": {"image_size": 64, "width": 0.25, "detector": "features", "features_maps": 3},
    "residual, width 1 (paper)": {"image_size": SIZE},
}


@click.command()
@click.option("--num-keypoints", default=16, show_default=True)
@click.option("--rounds", default=31, show_default=True)
@click.option("--threads", default=2, show_default=True)
def main(num_keypoints: int, rounds: int, threads: int) -> None:
    """Time the detectors side by side, with random weights, as a Markdown table."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {threads} threads, {SIZE}x{SIZE}, K = {num_keypoints}, "
          f"median of {rounds} interleaved rounds\n")  # fmt: skip
    models = {
        name: AutoLink(AutoLinkConfig(num_keypoints=num_keypoints, **settings)).prepare_for_inference()
        for name, settings in KINDS.items()
    }
    print("| detector | batch | ms an image | times the first one's |")
    print("|---|---|---|---|")
    for batch in (1, 8):
        images = torch.rand(batch, 3, SIZE, SIZE)
        times = seconds_in_turns({name: model.detect for name, model in models.items()}, images, rounds)
        first = next(iter(times.values()))
        for name, taken in times.items():
            each_ms = 1000 * statistics.median(taken) / batch
            print(f"| {name} | {batch} | {each_ms:.1f} | {median_ratio(taken, first):.2f} |")


if __name__ == "__main__":
    main()
