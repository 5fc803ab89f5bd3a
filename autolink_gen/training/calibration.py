"""The likelihood of a graph's keypoints, from how they follow training images that are moved a little."""

import torch
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.common.devices import double_on_cpu, to_device
from autolink_gen.common.spread import evenly
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.likelihood import LikelihoodMap, fit_likelihood
from autolink_gen.training.augment import RandomMove

MAX_IMAGES, _BATCH = 200, 16


@torch.no_grad()
def calibrate(model: AutoLink, dataset: Dataset[Tensor], *, max_images: int = MAX_IMAGES) -> LikelihoodMap | None:
    """Fit the likelihood on at most ``max_images`` of a data set, evenly spread, each moved once as in training.

    A keypoint's place in a moved image is the moved keypoint of the image. The same images give the same result, and
    nobody's random numbers are drawn. None where there are too few keypoints.
    """
    device, move = model.alpha.device, RandomMove()
    indices = evenly(len(dataset), max_images)  # type: ignore[arg-type]
    found: list[tuple[Tensor, Tensor]] = []
    was_training = model.training
    model.eval()
    for start in range(0, len(indices), _BATCH):
        images = torch.stack([dataset[index] for index in indices[start : start + _BATCH]]).float() / 255
        moved = move(images, seed=start)
        keypoints, _ = model.detect_with_widths(to_device(images, device))
        again, widths = model.detect_with_widths(to_device(moved.images.clamp(0, 1), device))
        found.append((widths, (again - moved.follow(keypoints)).norm(dim=-1)))
    model.train(was_training)
    all_widths, distances = (double_on_cpu(torch.cat(part)).numpy().reshape(-1) for part in zip(*found, strict=True))
    return fit_likelihood(all_widths, distances, span=float(model.detector.span))
