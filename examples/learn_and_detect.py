"""Learn a graph on the embedded puppets, load it again, and draw what it detects on puppets it has not seen.

A few steps on random features show how the parts go together; a graph worth having takes `autolink-gen learn-graph`.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image

from autolink_gen import learn_graph, load_graph_model
from autolink_gen.data.puppets.dataset import Puppets
from autolink_gen.viz.graphs import draw_graph, image_grid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="training steps (default: 20)")
    parser.add_argument("--features", choices=["random", "alexnet", "vgg16"], default="random", help="of the loss")
    parser.add_argument("--out", type=Path, default=Path("example-output"), help="folder to write to")
    options = parser.parse_args()

    run = learn_graph(  # a run that is there already goes on from its last save
        num_keypoints=10,
        steps=options.steps,
        settings={"perceptual.features": options.features},
        name=f"puppets-{options.features}",
        out=options.out,
    )
    print(f"wrote {run.weights}")

    graph = load_graph_model(run)
    puppets = Puppets(image_size=128, length=8, split="test")  # any size will do: the model resizes
    images = torch.stack([puppets[i] for i in range(len(puppets))])
    keypoints = graph.detect(images.float() / 255)  # (8, 10, 2), (x, y) in [-1, 1]
    drawings = [
        draw_graph(image.permute(1, 2, 0).numpy(), points, graph.edge_weights.detach(), threshold=0.1)
        for image, points in zip(images, keypoints, strict=True)
    ]
    file = options.out / "learn_and_detect.png"
    Image.fromarray(image_grid([drawings[:4], drawings[4:]])).save(file)
    print(f"wrote {file}: {graph.config.num_keypoints} keypoints and their graph on {len(drawings)} puppets")


if __name__ == "__main__":
    main()
