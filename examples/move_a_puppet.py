"""Train a pose-transfer network on a graph of the embedded puppets, load it, and move one puppet by another's video.

A few steps on an untrained graph show how the parts go together; a video worth looking at takes `autolink-gen
learn-graph` and `autolink-gen train-transfer`.
"""

import argparse
from pathlib import Path

import torch

from autolink_gen import load_transfer
from autolink_gen.config import LossWeightsConfig, ProgressConfig, RunLengthConfig, TransferRunConfig
from autolink_gen.data.puppets.dataset import puppet_clip
from autolink_gen.data.video.writer import VideoWriter
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.models.transfer import TransferConfig
from autolink_gen.training.launch import Launch
from autolink_gen.training.transfer import train_transfer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="training steps (default: 20)")
    parser.add_argument("--out", type=Path, default=Path("example-output"), help="folder to write to")
    options = parser.parse_args()

    torch.manual_seed(0)
    graph = AutoLink(AutoLinkConfig(num_keypoints=8, image_size=64, width=0.25, sigma2=5e-3))  # or load_graph_model
    config = TransferRunConfig(
        model=TransferConfig(image_size=64, width=0.125, appearance_width=0.125, all_scales=True, warps=True),
        weights=LossWeightsConfig(perceptual=0.0, adversarial=0.0),  # the squared error alone needs no AlexNet weights
        training=RunLengthConfig(steps=options.steps, batch_size=8, ema=0.9, log_every=5),
        progress=ProgressConfig(pictures=0),  # do not measure
    )
    run = options.out / "puppets-transfer"
    train_transfer(config, graph, Launch(folder=run))
    print(f"wrote {run / 'model.safetensors'}")

    network = load_transfer(run)
    source, _ = puppet_clip(0, 0, num_frames=1, size=256, split="test")
    driver, _ = puppet_clip(0, 1, num_frames=50, size=256, split="test")
    file = options.out / "move_a_puppet.mp4"
    with VideoWriter(file, fps=25) as writer:
        for frame in network.animate(source[0], driver):  # (256, 256, 3) uint8
            writer.write(frame)
    print(f"wrote {file}: puppet 0 does what puppet 1 does")


if __name__ == "__main__":
    main()
