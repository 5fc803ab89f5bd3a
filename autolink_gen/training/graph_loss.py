"""What the graph learner is shown at a step, and its loss."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from autolink_gen.common.devices import to_device
from autolink_gen.config import GraphRunConfig, PerceptualConfig
from autolink_gen.losses.edges import edge_cost
from autolink_gen.losses.perceptual import ConvFeatures, FeatureMaps, PerceptualLoss
from autolink_gen.models.autolink import AutoLink, TrainingPass
from autolink_gen.models.feature_detector import FeatureDetector, round_to_half
from autolink_gen.ops.ranges import from_signed, to_signed
from autolink_gen.ops.resizing import resize
from autolink_gen.pretrained.features import load_features
from autolink_gen.training.augment import MovedImages, RandomMove, Recolour


class Views(NamedTuple):
    """The inputs of one step: images in [0, 1] to repaint under masks, and their other views.

    ``recoloured``: the detector's input in their place; ``moved``: on which keypoints are to move likewise;
    ``kept_edges``: 1 for edges to draw. Each is None where the settings ask for none.
    """

    images: Float[Tensor, "B 3 I I"]
    masks: Float[Tensor, "N 1 S S"]
    recoloured: Float[Tensor, "B 3 I I"] | None
    moved: MovedImages | None
    kept_edges: Float[Tensor, "K K"] | None


class GraphLoss:
    """The loss of a run: perceptual (AutoLink eq. 6), and what the settings add to it.

    Fetches the features' weights when they are missing. A detector on features gets theirs; where it looks at the same
    maps as the loss, they are computed once.
    """

    def __init__(self, config: GraphRunConfig, model: AutoLink, *, device: torch.device | str = "cpu") -> None:
        self.config, self.model = config, model
        self.perceptual = make_loss(config.perceptual).to(device)
        self.move, self.recolour = RandomMove(), Recolour(config.views.recolour)
        self.shares_features = shares_features(config)
        if isinstance(model.detector, FeatureDetector):
            name = config.model.features or config.perceptual.features
            features = self.perceptual.features if name == config.perceptual.features else load_features(name)
            model.detector.take_weights(features.state_dict())
            if self.shares_features:
                self._share_features(model.detector)

    def _share_features(self, detector: FeatureDetector) -> None:
        """Let the loss see the maps that the detector sees: of one network, or of two with equal weights."""
        ours = self.perceptual.features
        assert isinstance(ours, ConvFeatures)
        if detector.features.layers == ours.layers:
            self.perceptual.features = detector.features
        else:
            ours.fill(round_to_half(ours.state_dict()))

    def views(self, images: Float[Tensor, "B 3 I I"], *, generator: torch.Generator) -> Views:
        """The views of a step with these images; ``generator`` is on the CPU."""
        views = self.config.views

        def next_seed() -> int:
            return int(torch.randint(2**62, (), generator=generator))

        masks = self.model.random_mask(views.masks * len(images), generator=generator)
        moved = self.move(images, seed=next_seed()) if views.consistency else None
        recoloured = self.recolour(images, seed=next_seed()) if views.recolour else None
        kept_edges = to_device(self._draw_kept_edges(generator), images.device) if self.config.edges.dropout else None
        return Views(images, masks, recoloured, moved, kept_edges)

    def _draw_kept_edges(self, generator: torch.Generator) -> Float[Tensor, "K K"]:
        count = self.config.model.num_keypoints
        is_kept = (torch.rand(count, count, generator=generator) >= self.config.edges.dropout).float().triu(1)
        return is_kept + is_kept.T

    def __call__(self, network: nn.Module, views: Views) -> Float[Tensor, ""]:
        """The loss of the model, as it is called in training, on the views of a step."""
        result, loss = self._repaint(network, views)
        edges, consistency = self.config.edges, self.config.views.consistency
        if edges.length_weight:
            cost = edge_cost(result.keypoints, self.model.edge_weights, floor=edges.length_floor)
            loss = loss + edges.length_weight * cost
        if views.moved is not None:
            target_keypoints = views.moved.follow(result.keypoints)
            loss = loss + consistency * (result.moved_keypoints - target_keypoints).norm(dim=-1).mean()
        return loss

    def _repaint(self, network: nn.Module, views: Views) -> tuple[TrainingPass, Tensor]:
        images, times = views.images, self.config.views.masks
        signed = to_signed(images)
        moved = None if views.moved is None else to_signed(views.moved.images)
        recoloured = None if views.recoloured is None else to_signed(views.recoloured)
        options = {"looked_at": recoloured, "kept_edges": views.kept_edges}
        if self.shares_features:
            targets = self.perceptual.target_features(images)
            detector = self.model.detector
            assert isinstance(detector, FeatureDetector)
            target_maps = targets[: len(detector.features.layers)]
            maps = target_maps if views.recoloured is None else self._detector_maps(views.recoloured)
            if views.moved is not None:
                maps = _concatenate(maps, self._detector_maps(views.moved.images))
            result = network(signed, views.masks, moved, maps=maps, **options)
        else:
            result = network(signed, views.masks, moved, **options)
            like = images if self.config.perceptual.resize else resize(images, self.config.model.image_size)
            targets = self.perceptual.target_features(like)
        return result, self.perceptual.distance_to(from_signed(result.images.float()), _repeat(targets, times))

    def _detector_maps(self, images: Float[Tensor, "B 3 I I"]) -> FeatureMaps:
        """The maps of images in [0, 1] that the detector sees; the loss's own where it looks at no others."""
        detector = self.model.detector
        assert isinstance(detector, FeatureDetector)
        if self.perceptual.features is detector.features:
            return self.perceptual.target_features(images)
        return detector.maps(to_signed(images))


def parts_of(loss: PerceptualLoss) -> dict[str, Callable[..., Any]]:
    """The parts of a loss that are worth compiling, by their names for users."""
    return {"the loss": loss.distance_to, "the loss's view of the targets": loss.target_features}


def make_loss(config: PerceptualConfig) -> PerceptualLoss:
    """The perceptual loss of a configuration (AutoLink eq. 6); fetches the features' weights when they are missing."""
    features = load_features(config.features, Path(config.weights) if config.weights else None)
    return PerceptualLoss(features, distance=config.distance, resize=config.resize, unit_length=config.unit_length)


def shares_features(config: GraphRunConfig) -> bool:
    """Whether the loss and the detector use the same feature maps of an image."""
    model, loss = config.model, config.perceptual
    same = model.features == loss.features and (loss.resize or model.image_size) == model.features_size
    return model.detector == "features" and same and loss.unit_length


def _concatenate(first: FeatureMaps, second: FeatureMaps) -> FeatureMaps:
    return tuple(torch.cat(pair) for pair in zip(first, second, strict=True))


def _repeat(maps: FeatureMaps, times: int) -> FeatureMaps:
    return maps if times == 1 else tuple(values.repeat(times, 1, 1, 1) for values in maps)
