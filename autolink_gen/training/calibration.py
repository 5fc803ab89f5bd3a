"""The likelihood of a graph's keypoints, from how they follow training images that are moved a little."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.checkpoints import GRAPH_NAME, header_of, load_graph_model, read_weights, write_described
from autolink_gen.common.devices import chosen_device, double_on_cpu, to_device
from autolink_gen.common.files import check_free
from autolink_gen.common.spread import evenly
from autolink_gen.data.source import open_source
from autolink_gen.data.sources.base import Source
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.likelihood import LikelihoodMap, fit_likelihood
from autolink_gen.runs import RunFolder
from autolink_gen.training.augment import RandomMove
from autolink_gen.training.batches import open_images

AnyPath = str | os.PathLike[str]
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


@dataclass(frozen=True)
class CalibrationReport:
    """The file with the model and its ``likelihood``, and the images that it was measured on."""

    file: Path
    likelihood: LikelihoodMap
    num_images: int
    data: str
    model: str

    def __str__(self) -> str:
        measured = self.likelihood.likelihoods[:-1] or (0.0,)  # the last is that of a heat map that says nothing
        return (
            f"model: {self.model}\n"
            f"likelihoods, measured on {self.num_images} images of {self.data} and on each of them moved: "
            f"{measured[0]:.2f} at the narrowest heat maps, {measured[-1]:.2f} at the widest\n"
            f"wrote {self.file}: the same weights, and these likelihoods"
        )


def calibrate_run(
    run: AnyPath | None = None,
    *,
    file: AnyPath,
    data: AnyPath | None = None,
    data_root: AnyPath | None = None,
    max_images: int | None = None,
    device: str | None = None,
    overwrite: bool = False,
) -> CalibrationReport:
    """Measure the likelihoods of a graph as `learn_graph` does at its end, and write its model with them to ``file``.

    This is for a graph that has none: one that is older, imported, or whose run was stopped. ``run`` is a name, a
    folder or a file; None: the newest graph. The images are those it was trained on, or the training images of
    ``data``; ``max_images``, 200 unless given, are looked at. Weights, settings and step stay as they are, to the bit.

    Raises ValueError where the file is there already without ``overwrite``, the run's own too, where the weights do not
    say what they were trained on, and where there are too few keypoints.
    """
    folder, file = RunFolder.find(run, kind="graph"), Path(file)
    if file.suffix != ".safetensors" or file.name == GRAPH_NAME:
        what = "is called as the graph beside a GAN is" if file.name == GRAPH_NAME else "has another ending"
        raise ValueError(f"--calibrate: {file} {what}: give another name that ends in .safetensors")
    check_free(file, overwrite=overwrite, option="--calibrate")
    source, hold_out, seed = _trained_on(folder, data, data_root)
    graph = load_graph_model(folder, device=chosen_device(device))
    size, fit = graph.config.input_size, graph.config.fit
    images = open_images(source, hold_out=hold_out, size=size, fit=fit, seed=seed)
    count = min(len(images), max_images or MAX_IMAGES)  # type: ignore[arg-type]
    likelihood = calibrate(graph, images, max_images=count)
    if likelihood is None:
        raise ValueError(f"{count} images of {source.text} are too few to measure likelihoods: 40 keypoints are needed")
    metadata, tensors = read_weights(folder.weights)
    header = header_of(metadata, source=folder.weights)
    more = {"likelihood": asdict(likelihood)}
    target = Path(os.path.realpath(file))  # a link stays, and what it leads to is replaced
    write_described(target, tensors, kind="graph", config=header.config or {}, step=header.step, more=more)
    return CalibrationReport(file, likelihood, count, source.text, str(folder))


def _trained_on(run: RunFolder, data: AnyPath | None, data_root: AnyPath | None) -> tuple[Source, int, int]:
    """The images to measure on, the people held out of them, and the seed of their order."""
    root = None if data_root is None else Path(data_root)
    if data is not None:
        return open_source(os.fspath(data), root=root), 0, 0
    config, source = run.config(), run.source(root=root)
    if config is None or source is None:
        raise ValueError(f"{run.path} does not say what it was trained on; give --data")
    return source, config.data.hold_out, config.training.seed
