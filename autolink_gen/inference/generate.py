"""A trained GAN in use: images in a style on a pose, and the style of an image."""

import os
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor, nn

from autolink_gen.checkpoints import load_generator, save_generator
from autolink_gen.common.devices import usable_device
from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.config import build
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.generator import GanConfig, Generator
from autolink_gen.ops.ranges import check_edge_weights, check_keypoints, from_signed, unit_images
from autolink_gen.pretrained.features import load_lpips
from autolink_gen.viz.graphs import painted_grid

_MEAN_OF = 4096
_PIXELS_WEIGHT = 2.0
_STYLE_RATE = 0.05


def load_gan(path: str | os.PathLike[str], *, device: torch.device | str = "cpu") -> "Gan":
    """Load a GAN and its graph, in eval mode, from a run's folder or a ``model.safetensors``.

    Raises ValueError if there is none, the file is of another kind, or weights are missing.
    """
    device = usable_device(str(device))

    def make(config: dict[str, Any], graph: AutoLink, poses: Tensor) -> Gan:
        return Gan(graph, Generator(build(GanConfig, config)), poses)

    _, gan = load_generator(path, kind="gan", make=make)
    gan.to(device).eval()
    gan.graph.prepare_for_inference()  # last: moving drops the quicker detector
    return gan


def save_gan(path: Path, gan: "Gan", *, step: int | None = None) -> None:
    """Write the GAN's and the graph's weights, both configurations and the step to one file."""
    save_generator(path, gan, gan.graph, kind="gan", config=gan.generator.config, step=step)


def styles_on_poses(gan: "Gan", images: Float[Tensor, "N 3 H W"], z: Float[Tensor, "M D"]) -> UInt8[ndarray, "_ _ 3"]:
    """A grid of images in [0, 1] with their graphs, then a row for each style on their poses."""
    keypoints = gan.graph.detect(images)
    rows = [gan.generate(keypoints, style.expand(len(keypoints), -1)) for style in z.to(keypoints)]
    return painted_grid(images, keypoints, gan.edge_weights, rows)


class Gan(nn.Module):
    """A generator and its graph; ``poses`` (N, K, 2) are some of the training images'."""

    poses: Tensor

    def __init__(self, graph: AutoLink, generator: Generator, poses: Float[Tensor, "N K 2"]) -> None:
        super().__init__()
        self.graph, self.generator = graph, generator
        self.register_buffer("poses", poses)

    @property
    def edge_weights(self) -> Float[Tensor, "K K"]:
        """The graph's edge weights, detached."""
        return self.graph.edge_weights.detach()

    @property
    def style_size(self) -> int:
        """The number of values in z and in w."""
        return self.generator.config.style_size

    @property
    def num_layers(self) -> int:
        """The number of layers that take a style each."""
        return len(self.generator.blocks)

    def mix_styles(
        self, first: Float[Tensor, "... D"], second: Float[Tensor, "... D"], *, layers: int
    ) -> Float[Tensor, "... L D"]:
        """A style w for each layer: the first ``layers``, the coarse ones, of one style, the rest of another.

        See StyleGAN, section 3.1. Raises ValueError for fewer layers than 0 or more than there are.
        """
        if not 0 <= layers <= self.num_layers:
            raise ValueError(f"layers must be from 0 to {self.num_layers}, got {layers}")
        each = [first] * layers + [second] * (self.num_layers - layers)
        return torch.stack(each, dim=-2)

    @torch.no_grad()
    def generate(
        self, keypoints: Float[Tensor, "B K 2"], z: Float[Tensor, "B D"], *, truncation: float = 1.0
    ) -> Float[Tensor, "B 3 S S"]:
        """Images in [0, 1] of poses (x, y) in [-1, 1], in the styles of z from N(0, 1).

        ``truncation`` below 1 draws styles towards the mean one, for fewer failures and less variety (StyleGAN,
        appendix B). Raises ValueError for keypoints or z of another shape, and for keypoints in another range.
        """
        return self.paint(keypoints, self.style(z, truncation=truncation))

    @torch.no_grad()
    def style(self, z: Float[Tensor, "B D"], *, truncation: float = 1.0) -> Float[Tensor, "B D"]:
        """The styles w of z; see :meth:`generate`."""
        size = self.style_size
        if z.ndim != 2 or z.shape[1] != size:
            raise ValueError(f"z must be (B, {size}), got {tuple(z.shape)}")
        return self.truncate(self.generator.style(z), truncation=truncation)

    @torch.no_grad()
    def truncate(self, style: Float[Tensor, "... D"], *, truncation: float) -> Float[Tensor, "... D"]:
        """Styles w drawn towards the mean one, by ``truncation`` below 1."""
        if truncation == 1:
            return style
        mean = self.mean_style()
        return mean + truncation * (style - mean)

    @torch.no_grad()
    def mean_style(self) -> Float[Tensor, " D"]:
        """The mean of w over a fixed sample of z."""
        z = torch.randn(_MEAN_OF, self.style_size, generator=torch.Generator().manual_seed(0))
        return self.generator.style(z.to(self.poses)).mean(dim=0)

    @torch.no_grad()
    def paint(
        self,
        keypoints: Float[Tensor, "B K 2"],
        style: Float[Tensor, "B D"] | Float[Tensor, "B L D"],
        *,
        edge_weights: Float[Tensor, "K K"] | None = None,
    ) -> Float[Tensor, "B 3 S S"]:
        """Images in [0, 1] of poses in styles w, or in one w for each layer.

        ``edge_weights`` replace the graph's own. Raises ValueError for keypoints in pixels, for weights below 0, and
        for values that are not finite.
        """
        check_keypoints(keypoints)
        if edge_weights is not None:
            check_edge_weights(edge_weights)
        return self.paint_unchecked(keypoints, style, edge_weights=edge_weights)

    @torch.no_grad()
    def paint_unchecked(
        self,
        keypoints: Float[Tensor, "B K 2"],
        style: Float[Tensor, "B D"] | Float[Tensor, "B L D"],
        *,
        edge_weights: Float[Tensor, "K K"] | None = None,
    ) -> Float[Tensor, "B 3 S S"]:
        """Like `paint`, for keypoints and weights whose values were looked at; does not wait for the device."""
        return self._paint(keypoints, style, edge_weights).clamp(0, 1)

    def _paint(self, keypoints: Tensor, style: Tensor, edge_weights: Tensor | None = None) -> Tensor:
        if style.ndim == 3 and style.shape[1] != self.num_layers:
            raise ValueError(f"a style for each layer must be (B, {self.num_layers}, D), got {tuple(style.shape)}")
        count = self.graph.config.num_keypoints
        if keypoints.ndim != 3 or keypoints.shape[1:] != (count, 2) or len(keypoints) != len(style):
            raise ValueError(
                f"keypoints must be (B, {count}, 2), as many as styles ({len(style)}), got {tuple(keypoints.shape)}"
            )
        weights = self.edge_weights if edge_weights is None else edge_weights
        size = self.generator.config.image_size
        edge_map = self.graph.edge_map(keypoints.to(weights), size, edge_weights=weights)
        return from_signed(self.generator.paint(edge_map, style))

    def invert(
        self,
        images: Float[Tensor, "B 3 H W"] | UInt8[Tensor, "B 3 H W"],
        *,
        keypoints: Float[Tensor, "B K 2"] | None = None,
        steps: int = 300,
        progress: Progress = no_progress,
    ) -> Float[Tensor, "B D"]:
        """The styles w that best reproduce images in [0, 1], or uint8.

        Runs ``steps`` of Adam from the mean style, on LPIPS and a little squared error. Keypoints are detected unless
        given. LPIPS's weights are fetched if missing; ValueError if that fails, and for images or keypoints in another
        range.
        """
        images = unit_images(images)
        if keypoints is None:
            keypoints = self.graph.detect_unchecked(images)
        else:
            check_keypoints(keypoints)
        size = self.generator.config.image_size
        targets = nn.functional.interpolate(images, (size, size), mode="bilinear", antialias=True)
        distance = load_lpips().to(targets.device)
        style = self.mean_style().repeat(len(images), 1).requires_grad_()
        optimiser = torch.optim.Adam([style], lr=_STYLE_RATE)
        for step in progress(range(steps), steps, "style"):
            for group in optimiser.param_groups:
                group["lr"] = _STYLE_RATE * (1 - step / steps)
            painted = self._paint(keypoints, style)
            loss = (
                distance(painted, targets).sum() + _PIXELS_WEIGHT * (painted - targets).square().mean((1, 2, 3)).sum()
            )
            (style.grad,) = torch.autograd.grad(loss, style)
            optimiser.step()
        return style.detach()
