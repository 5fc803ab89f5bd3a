"""Train a GAN on a graph of the embedded puppets, load it, and move one keypoint while the style stays.

A few steps on an untrained graph show how the parts go together; images worth looking at take `autolink-gen
learn-graph` and `autolink-gen train-gan`.
"""

import argparse
from pathlib import Path

import torch

from autolink_gen import load_gan
from autolink_gen.common.files import write_image
from autolink_gen.config import GanRunConfig, ProgressConfig, RunLengthConfig
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.models.generator import GanConfig
from autolink_gen.training.gan import train_gan
from autolink_gen.training.launch import Launch
from autolink_gen.viz.graphs import image_grid, to_uint8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="training steps (default: 20)")
    parser.add_argument("--out", type=Path, default=Path("example-output"), help="folder to write to")
    options = parser.parse_args()

    torch.manual_seed(0)
    graph = AutoLink(AutoLinkConfig(num_keypoints=8, image_size=64, width=0.25, sigma2=5e-3))  # or load_graph_model
    config = GanRunConfig(
        model=GanConfig(image_size=64, width=0.125),
        training=RunLengthConfig(steps=options.steps, batch_size=8, ema=0.9, log_every=5),
        progress=ProgressConfig(pictures=0),  # do not measure: that needs VGG16's weights
    )
    run = options.out / "puppets-gan"
    train_gan(config, graph, Launch(folder=run))
    print(f"wrote {run / 'model.safetensors'}")

    gan = load_gan(run)
    style = gan.style(torch.randn(1, 256), truncation=0.8)
    poses = gan.poses[:1].repeat(5, 1, 1)
    poses[:, 2, 0] += torch.linspace(-0.4, 0.4, 5)  # keypoint 2 walks from left to right
    images = gan.paint(poses, style.expand(5, -1))  # (5, 3, 64, 64) in [0, 1]
    file = options.out / "paint_on_a_graph.png"
    write_image(file, image_grid([list(to_uint8(images))]))
    print(f"wrote {file}: one style on five poses")


if __name__ == "__main__":
    main()
