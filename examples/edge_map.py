"""Draw a graph as an edge map, then move one keypoint by gradient descent until the drawing fits a target."""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from autolink_gen.ops.edges import edge_map
from autolink_gen.viz.graphs import image_grid

SIZE = 128  # pixels
SIGMA2_THICK, SIGMA2_THIN = 0.05, 0.002  # a thick drawing is felt from afar, a thin one is exact

# (x, y) in [-1, 1], y downwards: head, neck, hip, two feet, one hand, and the hand that is to move
FIGURE = [[0.0, -0.6], [0.0, -0.35], [0.0, 0.2], [-0.3, 0.8], [0.3, 0.8], [-0.45, 0.05], [0.5, 0.1]]
LINKS = [(0, 1), (1, 2), (2, 3), (2, 4), (1, 5), (1, 6)]
HAND, RAISED = 6, (0.55, -0.75)


def draw(keypoints: torch.Tensor, *, sigma2: float = SIGMA2_THIN) -> torch.Tensor:
    """The edge map (1, 1, SIZE, SIZE) of keypoints (7, 2): weight 1 for the links, next to nothing for other edges."""
    weights = torch.full((len(FIGURE), len(FIGURE)), 1e-6)
    for i, j in LINKS:  # i < j: the other half is not read
        weights[i, j] = 1.0
    return edge_map(keypoints[None], weights, sigma2=sigma2, size=SIZE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=150, help="gradient steps (default: 150)")
    parser.add_argument("--out", type=Path, default=Path("example-output"), help="folder to write to")
    options = parser.parse_args()

    start, goal = torch.tensor(FIGURE), torch.tensor(FIGURE)
    goal[HAND] = torch.tensor(RAISED)
    hand = start[HAND].clone().requires_grad_()
    optimiser = torch.optim.Adam([hand], lr=0.03)
    for step in range(options.steps):
        sigma2 = SIGMA2_THICK * (SIGMA2_THIN / SIGMA2_THICK) ** (step / options.steps)
        moved = torch.cat([start[:HAND], hand[None]])  # the hand is the last keypoint
        loss = (draw(moved, sigma2=sigma2) - draw(goal, sigma2=sigma2)).square().mean()
        optimiser.zero_grad()
        loss.backward()  # the gradient reaches the keypoint through the drawing
        optimiser.step()
    start_px, end_px = ((start[HAND] - goal[HAND]).norm() * SIZE / 2, (hand - goal[HAND]).norm() * SIZE / 2)
    print(f"the hand was {start_px:.1f} pixels from its place, and is {end_px:.2f} after {options.steps} steps")

    fitted = torch.cat([start[:HAND], hand[None].detach()])
    row = [(255 * draw(pose)[0, 0]).numpy().astype(np.uint8) for pose in (start, goal, fitted)]
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "edge_map.png"
    Image.fromarray(image_grid([row], labels=["start", "target", "fitted"])).save(file)
    print(f"wrote {file}: the figure at the start, as it should be, and as fitted")


if __name__ == "__main__":
    main()
