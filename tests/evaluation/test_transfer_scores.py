"""Scores of pose transfer, of a painter that draws dots exactly where they are asked for."""

import numpy as np
import pytest
import torch
from helpers.messages import raises_mentioning

from autolink_gen.evaluation.transfer import METHODS, evaluate_transfer
from autolink_gen.inference.transfer import Transfer
from autolink_gen.models.autolink import AutoLink

SIZE = 32
AXIS = torch.linspace(-1, 1, SIZE)


def dots(places: torch.Tensor, shade: torch.Tensor | float = 1.0) -> torch.Tensor:
    """Pictures (B, 3, 32, 32) in [0, 1] with a soft dot of some shade at each place (B, 2)."""
    distance = (AXIS - places[:, :1, None]) ** 2 + (AXIS[:, None] - places[:, 1:, None]) ** 2
    return (torch.exp(-distance / 0.02) * torch.as_tensor(shade).view(-1, 1, 1))[:, None].expand(-1, 3, -1, -1)


class DotGraph(AutoLink):
    """Its keypoints lie in the middle of what is bright."""

    edge_weights = torch.ones(2, 2)

    def __init__(self):
        torch.nn.Module.__init__(self)

    def detect_unchecked(self, images):
        mass = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
        place = torch.stack([(mass.sum(1) * AXIS).sum(1), (mass.sum(2) * AXIS).sum(1)], dim=1)
        return place[:, None].expand(-1, 2, -1)


class DotPainter(Transfer):
    """Paints a dot as bright as the one it looked at, ``off`` away from where it was asked for."""

    def __init__(self, off: float = 0.0) -> None:
        torch.nn.Module.__init__(self)
        self.graph = DotGraph()
        self.off = torch.tensor([off, 0.0])

    def look_at(self, pictures):
        return pictures.amax((1, 2, 3))

    def paint(self, keypoints, appearance):
        return dots(keypoints[:, 0] + self.off, appearance.expand(len(keypoints)))


def clip(*, shade: float, start: float, steps: int = 12) -> torch.Tensor:
    places = torch.stack([torch.linspace(start, start + 0.5, steps), torch.zeros(steps)], dim=1)
    return dots(places, shade).contiguous()


def squares(one, other):
    return (one - other).square().mean((1, 2, 3), keepdim=True)


@pytest.fixture
def clips():
    return [("a", clip(shade=1.0, start=-0.4)), ("b", clip(shade=0.6, start=-0.1))]


def test_a_perfect_painter_beats_copying(clips):
    report = evaluate_transfer(DotPainter(), clips, perceptual=squares)
    assert [(one.name, one.num_frames) for one in report.clips] == [("a", 9), ("b", 9)]
    means = report.means
    assert set(means) == set(METHODS)
    assert means["network"].l1 < 0.01 < means["copy"].l1
    assert means["network"].psnr > 35 > means["copy"].psnr
    assert means["network"].ssim > 0.98 > means["copy"].ssim
    assert means["network"].lpips < 1e-3 < means["copy"].lpips
    assert means["network"].akd_graph == pytest.approx(0, abs=0.1)
    assert report.cross_percent == pytest.approx(0, abs=0.1)
    assert report.cross_copy_percent > 10


def test_distances_are_in_percent_of_the_width(clips):
    report = evaluate_transfer(DotPainter(off=0.1), clips, perceptual=squares)
    assert report.means["network"].akd_graph == pytest.approx(5.0, abs=0.1)
    assert report.cross_percent == pytest.approx(5.0, abs=0.1)
    steps = np.linspace(0, 0.5, 12)
    copied = (steps[3:] - steps[0]).mean() / 2 * 100
    assert report.clips[0].scores["copy"].akd_graph == pytest.approx(copied, abs=0.1)
    nearest = (steps[3:] - steps[2]).mean() / 2 * 100  # the last frame of the first quarter is nearest to all the rest
    assert report.clips[0].scores["nearest"].akd_graph == pytest.approx(nearest, abs=0.1)


def test_every_clip_is_shown_and_the_report_is_plain(clips):
    seen = []
    report = evaluate_transfer(DotPainter(), clips, perceptual=squares, keep=seen.append)
    assert [painted.name for painted in seen] == ["a", "b"]
    assert torch.equal(seen[0].source, clips[0][1][0])
    assert torch.equal(seen[0].true, clips[0][1][3:])
    assert all(shown.shape == seen[0].true.shape for shown in seen[0].by_method.values())
    values = report.to_dict()
    assert values["mean"]["network"].keys() == {"l1", "psnr", "ssim", "lpips", "akd_graph"}
    assert values["clips"][1]["name"] == "b" and values["clips"][1]["scores"]["copy"]["l1"] > 0


def test_too_little_is_refused(clips):
    with pytest.raises(ValueError, match="no clips"):
        evaluate_transfer(DotPainter(), [], perceptual=squares)
    with raises_mentioning(ValueError, "short", "two frames"):
        evaluate_transfer(DotPainter(), [*clips, ("short", clips[0][1][:1])], perceptual=squares)


def test_keypoints_that_were_left_out_of_the_graph_do_not_count(clips):
    class Wandering(DotGraph):
        """Its second keypoint follows the shade of the picture."""

        edge_weights = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])

        def detect_unchecked(self, images):
            found = super().detect_unchecked(images)
            wandering = images.mean((1, 2, 3))[:, None, None].expand(-1, 1, 2) * 5
            return torch.cat([found[:, :1], wandering, found[:, 1:]], dim=1)

    painter = DotPainter(off=0.2)
    plain = evaluate_transfer(painter, clips, perceptual=squares)
    painter.graph = Wandering()
    dropped = evaluate_transfer(painter, clips, perceptual=squares)
    assert plain.to_dict() == dropped.to_dict()
    painter.graph.edge_weights = torch.ones(3, 3)
    whole = evaluate_transfer(painter, clips, perceptual=squares)
    assert abs(whole.cross_percent - plain.cross_percent) > 0.5
