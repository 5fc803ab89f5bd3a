"""Learn a graph on the embedded puppets, load it again, and draw what it detects on puppets it has not seen.

A few steps on random features show how the parts go together; a graph worth having takes `autolink-gen learn-graph`.
"""

import argparse
from pathlib import Path
from typing import Literal

import torch
from PIL import Image

from autolink_gen import load_graph_model
from autolink_gen.config import DataConfig, GraphRunConfig, LossConfig, OptimiserConfig, RunLengthConfig
from autolink_gen.data.synthetic import Puppets
from autolink_gen.models.autolink import AutoLinkConfig
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.viz import draw_graph, picture_grid


def learn(folder: Path, *, steps: int, features: Literal["random", "alexnet", "vgg16"]) -> None:
    """Train in `folder`; a run that is there already goes on from its last save."""
    config = GraphRunConfig(
        model=AutoLinkConfig(num_keypoints=10, image_size=64, width=0.25, decoder_width=0.125, sigma2=5e-3),
        data=DataConfig(name="puppets"),
        loss=LossConfig(features=features, distance="l1"),
        optimiser=OptimiserConfig(lr=1e-3, edge_weight_lr=1e-4),
        training=RunLengthConfig(steps=steps, batch_size=8, log_every=5),
    )
    train_graph(config, Launch(folder=folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="training steps (default: 20)")
    parser.add_argument("--features", choices=["random", "alexnet", "vgg16"], default="random", help="of the loss")
    parser.add_argument("--out", type=Path, default=Path("example-output"), help="folder to write to")
    options = parser.parse_args()

    run = options.out / f"puppets-{options.features}"
    learn(run, steps=options.steps, features=options.features)
    print(f"wrote {run / 'model.safetensors'}")

    graph = load_graph_model(run)
    puppets = Puppets(image_size=128, length=8, split="test")  # any size will do: the model resizes
    pictures = torch.stack([puppets[i] for i in range(len(puppets))])
    keypoints = graph.detect(pictures.float() / 255)  # (8, 10, 2), (x, y) in [-1, 1]
    drawings = [
        draw_graph(picture.permute(1, 2, 0).numpy(), points, graph.edge_weights.detach(), threshold=0.1)
        for picture, points in zip(pictures, keypoints, strict=True)
    ]
    file = options.out / "learn_and_detect.png"
    Image.fromarray(picture_grid([drawings[:4], drawings[4:]])).save(file)
    print(f"wrote {file}: {graph.config.num_keypoints} keypoints and their graph on {len(drawings)} puppets")


if __name__ == "__main__":
    main()
