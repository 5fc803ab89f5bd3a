"""A graph of two clear clusters."""

import torch

from autolink_gen.models.autolink import AutoLink, AutoLinkConfig


def two_clusters(**changes: float) -> AutoLink:
    """Strong edges between the keypoints 0, 2 and 4, weaker ones between 1 and 3, faint ones elsewhere."""
    config = AutoLinkConfig(num_keypoints=5, image_size=64, width=0.05, **changes)
    torch.manual_seed(0)
    model = AutoLink(config)
    raw = torch.full((5, 5), -9.0)
    for i, j, value in ((0, 2, 3.0), (0, 4, 2.0), (2, 4, 1.0), (1, 3, 0.5)):
        raw[i, j] = value
    with torch.no_grad():
        model.raw_edge_weights.copy_(raw / config.edge_weight_rate)
    return model
