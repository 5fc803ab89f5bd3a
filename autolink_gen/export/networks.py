"""What an exported file computes: networks of tensors alone, whose weights, graph and sizes are fixed."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from autolink_gen.inference.transfer import Transfer
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.generator import Generator
from autolink_gen.ops.edges import point_map
from autolink_gen.ops.heatmaps import heatmap_widths
from autolink_gen.ops.ranges import from_signed, to_signed
from autolink_gen.ops.segments import edge_list, pixel_line


class ExportedDetector(nn.Module):
    """Square images to heatmaps, keypoints and the spread of each heatmap; folded for inference."""

    def __init__(self, graph: AutoLink) -> None:
        super().__init__()
        self.detector: Any = graph.fold()

    def forward(self, images: Float[Tensor, "B 3 I I"]) -> tuple[Tensor, Tensor, Tensor]:
        """Unnormalised heatmaps (B, K, H, H), keypoints (B, K, 2) and spreads (B, K) of images in [0, 1]."""
        heatmaps = self.detector.heatmaps(to_signed(images))
        return heatmaps, self.detector.keypoints(heatmaps), heatmap_widths(heatmaps) * self.detector.span


def exported_edge_map(
    graph: AutoLink, size: int, *, edge_weights: Float[Tensor, "K K"] | None = None
) -> "ExportedEdgeMap | ExportedPointMap":
    """What draws the graph ``size`` pixels wide, with its own weights or others."""
    thickness = torch.as_tensor(graph.thickness()).detach()
    if graph.config.drawing == "points":
        return ExportedPointMap(thickness, size)
    weights = graph.edge_weights if edge_weights is None else edge_weights
    return ExportedEdgeMap(weights.detach(), thickness, size)


class ExportedEdgeMap(nn.Module):
    """The graph drawn on keypoints by the definition (AutoLink eq. 2-4), in its own frame for each edge.

    Along an edge and across it, the distance of a pixel is a sum of a part that x decides and one that y decides: all
    edges at once take half the memory of `edge_map_dense`, and a quarter of its time.
    """

    log_weights: Tensor
    sigma: Tensor
    line: Tensor

    def __init__(
        self, weights: Float[Tensor, "K K"], sigma2: Float[Tensor, ""] | Float[Tensor, "E"], size: int
    ) -> None:
        super().__init__()
        i, j = edge_list(len(weights))
        by_edge = weights[i, j]
        drawn = by_edge > 0  # what a graph leaves out weighs nothing
        drawn = drawn if drawn.any() else ~drawn
        self.starts, self.ends = i[drawn].tolist(), j[drawn].tolist()
        self.register_buffer("log_weights", by_edge[drawn].clamp_min(torch.finfo(weights.dtype).tiny).log())
        self.register_buffer("sigma", sigma2.to(weights).expand(len(i))[drawn].sqrt())
        self.register_buffer("line", pixel_line(size, like=weights))

    def forward(self, keypoints: Float[Tensor, "B K 2"]) -> Float[Tensor, "B 1 S S"]:
        """The edge map of keypoints (x, y) in [-1, 1]."""
        start, end = keypoints[:, self.starts], keypoints[:, self.ends]
        middle, step = (start + end) / 2, end - start
        length = step.square().sum(-1).sqrt()
        is_point = length == 0  # which takes the direction of x
        unit = step / torch.where(is_point, 1.0, length).unsqueeze(-1)
        cosine = _over_pixels(torch.where(is_point, 1.0, unit[..., 0]) / self.sigma)
        sine = _over_pixels(unit[..., 1] / self.sigma)
        x = (self.line - middle[..., :1]).unsqueeze(-2)  # (B, E, 1, S)
        y = (self.line - middle[..., 1:]).unsqueeze(-1)
        across = cosine * y - sine * x
        beyond = ((cosine * x + sine * y).abs() - _over_pixels(length / (2 * self.sigma))).clamp_min(0)
        scores = _over_pixels(self.log_weights) - (across * across + beyond * beyond)
        return scores.amax(1, keepdim=True).exp()


class ExportedPointMap(nn.Module):
    """The keypoints drawn without edges."""

    sigma2: Tensor

    def __init__(self, sigma2: Float[Tensor, ""], size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("sigma2", sigma2)

    def forward(self, keypoints: Float[Tensor, "B K 2"]) -> Float[Tensor, "B 1 S S"]:
        """The map of keypoints (x, y) in [-1, 1]."""
        return point_map(keypoints, sigma2=self.sigma2, size=self.size)


def _over_pixels(values: Float[Tensor, "*shape E"]) -> Float[Tensor, "*shape E 1 1"]:
    return values[..., None, None]


class ExportedGenerator(nn.Module):
    """An image in the style of z on an edge map."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, edge_map: Float[Tensor, "B 1 S S"], z: Float[Tensor, "B D"]) -> Float[Tensor, "B 3 S S"]:
        """Images in [0, 1] of edge maps in the styles of z from N(0, 1)."""
        return from_signed(self.generator(edge_map, z)).clamp(0, 1)


class ExportedTransfer(nn.Module):
    """A source image in other poses, which it draws itself."""

    strengths: Tensor

    def __init__(self, transfer: Transfer) -> None:
        super().__init__()
        self.network = transfer.network
        graph, size = transfer.graph, transfer.image_size
        self.drawings = nn.ModuleList(
            exported_edge_map(graph, size, edge_weights=weights) for weights in transfer.cluster_weights()
        )
        self.register_buffer("strengths", transfer.strengths)

    def forward(
        self,
        source: Float[Tensor, "1 3 S S"],
        source_keypoints: Float[Tensor, "1 K 2"],
        keypoints: Float[Tensor, "B K 2"],
        fine: Float[Tensor, "1 3 s s"] | None = None,
    ) -> Float[Tensor, "B 3 _ _"]:
        """The source, an image in [0, 1], in the poses of ``keypoints``; ``fine`` is the same image in more pixels."""
        count = keypoints.shape[0]
        appearance = self.network.appearance(to_signed(source), self._draw(source_keypoints))
        if fine is not None:
            appearance = appearance._replace(images=to_signed(fine))
        painted = self.network.paint(
            self._draw(keypoints),
            keypoints,
            source=appearance.each(lambda maps: maps.expand(count, -1, -1, -1)),
            source_keypoints=source_keypoints.expand(count, -1, -1),
            strengths=self.strengths,
        )
        return from_signed(painted).clamp(0, 1)

    def _draw(self, keypoints: Tensor) -> Tensor:
        return torch.cat([drawing(keypoints) for drawing in self.drawings], dim=1)
