"""Score a GAN's run: the quality of its images, and how well they keep structure and style."""

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.checkpoints import load_graph_model
from autolink_gen.clusters import without_text
from autolink_gen.common.files import write_image
from autolink_gen.common.progress import Progress
from autolink_gen.evaluation.fid import Extractor, inception_features, spread_batches, vgg16_features
from autolink_gen.evaluation.gan import GanScores, Structure, evaluate_gan
from autolink_gen.evaluation.outputs import Outputs, ResultFiles
from autolink_gen.evaluation.reports import Evaluation
from autolink_gen.evaluation.settings import EvaluationSettings
from autolink_gen.inference.generate import Gan, load_gan, styles_on_poses
from autolink_gen.inference.poses import seeded_styles
from autolink_gen.pretrained.features import load_lpips
from autolink_gen.runs import RunFolder

_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
_MAX_IMAGES = 500


@dataclass(frozen=True, kw_only=True)
class GanEvaluation(Evaluation):
    """The scores of a GAN; see `GanScores` for what each is."""

    gan: GanScores

    @property
    def structure(self) -> Structure:
        """How well its images keep the requested poses, by its own graph."""
        return self.gan.structure

    @property
    def witness(self) -> Structure | None:
        """The same by another graph; None without one."""
        return self.gan.witness

    @property
    def fd_vgg16(self) -> float:
        """The Frechet distance of VGG16's features from those of real images."""
        return self.gan.distances["fd_vgg16"]

    @property
    def fid(self) -> float | None:
        """The Frechet Inception distance; None without Inception's weights."""
        return self.gan.distances.get("fid")

    @property
    def diversity(self) -> float:
        """The mean LPIPS between two styles on one pose."""
        return self.gan.diversity

    def scores(self) -> dict[str, Any]:
        """The scores as plain values."""
        return self.gan.to_dict()

    def lines(self) -> list[str]:
        """The scores in words."""
        return gan_lines(self.gan)


def evaluate_gan_run(
    run: RunFolder, requested: EvaluationSettings, outputs: Outputs, *, device: str, progress: Progress
) -> GanEvaluation:
    """Score a GAN on held-out images and write the results; ValueError as `evaluate`."""
    files = ResultFiles(
        run,
        "gan",
        outputs,
        endings={"json": ".json", "picture": ".png"},
        images=_IMAGE_ENDINGS,
        settings=requested.to_dict(),
    )
    settings, gan = requested.on_data_of(run), load_gan(run, device=device)
    witness = None
    if settings.witness is not None:
        witness = load_graph_model(RunFolder.find(settings.witness, kind="graph"), device=device)
    size, fit, source = gan.generator.config.image_size, gan.graph.config.fit, settings.source
    extractors: dict[str, Extractor] = {"vgg16": vgg16_features()}
    if settings.fid_weights is not None:
        extractors["inception"] = inception_features(settings.fid_weights)
    training, held_out = source.images(size=size, fit=fit), source.held_out(size=size, fit=fit)
    real = training if held_out is None else held_out
    scores = evaluate_gan(
        gan,
        real,
        others=None if held_out is None else training,
        extractors=extractors,
        perceptual=load_lpips(),
        witness=witness,
        count=settings.max_test or _MAX_IMAGES,
        progress=progress,
    )
    split = "training" if held_out is None else "held-out"
    note = f"model: {run}{without_text(gan.graph)}; {split} images of {source.text}"
    report = GanEvaluation(model=str(run.path), data=source.text, notes=(note,), gan=scores)
    files.write_scores(report)
    if (file := files.place("picture")) is not None:
        write_image(file, _grid(gan, real))
        files.written.append((file, "above real images with their graph, below a row a style on their poses"))
    return replace(report, files=tuple(files.written))


def gan_lines(scores: GanScores) -> list[str]:
    """The scores of a GAN in words."""
    few = "; distances grow where there are fewer than 500" if scores.num_pictures < 500 else ""
    lines = [f"{scores.num_pictures} images, a style and a pose each{few}"]
    for name, value in scores.distances.items():
        if not name.startswith("real_"):
            floor = scores.distances.get(f"real_{name}")
            remark = f" (training images {floor:.4g})" if floor is not None else ""
            if value < 0:
                remark += "; below 0 is chance, no difference was found: more images tell more"
            lines.append(f"{name}: {value:.4g}{remark}")
    structures = {"structure": scores.structure, "structure by the witness": scores.witness}
    lines += [
        f"{name}: keypoints {score.percent:.2f} % of the width from those asked for, "
        f"{score.shuffled_percent:.2f} % from shuffled ones (ratio {score.ratio:.2f})"
        for name, score in structures.items()
        if score is not None
    ]
    return [
        *lines,
        f"style: LPIPS {scores.style_same:.3f} between two poses in one style, {scores.style_other:.3f} in two",
        f"diversity: LPIPS {scores.diversity:.3f} between two styles on one pose",
    ]


def _grid(gan: Gan, real: Dataset[Tensor]) -> UInt8[ndarray, "_ _ 3"]:
    images = next(spread_batches(real, count=8)).to(gan.edge_weights)
    return styles_on_poses(gan, images, seeded_styles(range(6), gan.style_size))
