"""The scores of a GAN: a painter that obeys scores well, one that does not scores as chance."""

import pytest
import torch
from helpers.messages import raises_mentioning
from torch.utils.data import Dataset

from autolink_gen.evaluation.gan import Structure, elsewhere, evaluate_gan, structure_of
from autolink_gen.inference.generate import Gan
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.models.generator import GanConfig, Generator


class Blobs(Dataset):
    """Pictures with one white square each, at places of their own."""

    def __init__(self, count: int, *, first: int = 0) -> None:
        self.count, self.first = count, first

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        picture = torch.full((3, 64, 64), 40, dtype=torch.uint8)
        place = 4 + (index * 7 + self.first) % 50
        picture[:, place : place + 8, 60 - place : 68 - place] = 255
        return picture


class Brightest(AutoLink):
    """Its keypoints lie at the brightest pixel."""

    def detect_unchecked(self, images):
        flat = images.mean(1).flatten(1).argmax(1)
        place = torch.stack([flat % 64, flat // 64], dim=1).float() / 63 * 2 - 1
        return place[:, None].expand(-1, self.config.num_keypoints, -1).contiguous()


class Erratic(Brightest):
    """Its keypoints have nothing to do with where the square is."""

    def detect_unchecked(self, images):
        return (images.mean((2, 3))[:, None, :2] * 1e4).sin().expand(-1, self.config.num_keypoints, -1).contiguous()


class Obedient(Gan):
    """Paints a square at the keypoint asked for, as bright as its style says."""

    def generate(self, keypoints, z, *, truncation=1.0):
        pictures = torch.zeros(len(keypoints), 3, 64, 64)
        for picture, point, style in zip(pictures, keypoints[:, 0], z, strict=True):
            x, y = ((point + 1) / 2 * 63).round().int().tolist()
            picture[:, y : y + 8, x : x + 8] = 0.6 + 0.4 * torch.sigmoid(style[0])
            picture[0] += 0.5 * torch.sigmoid(style[1])
        return pictures / 1.5


class Deaf(Obedient):
    """Paints the square where it pleases."""

    def generate(self, keypoints, z, *, truncation=1.0):
        return super().generate(z[:, None, :2].tanh().expand(-1, 3, -1), z)


def gan_of(kind: type[Gan]) -> Gan:
    torch.manual_seed(0)
    graph = Brightest(AutoLinkConfig(num_keypoints=3, image_size=64, width=0.05))
    return kind(graph, Generator(GanConfig(image_size=64, width=0.02, style_size=8)), torch.zeros(1, 3, 2)).eval()


def report_of(kind: type[Gan], **changes):
    return evaluate_gan(
        gan_of(kind),
        Blobs(30),
        **{
            "others": Blobs(30, first=3),
            "extractors": {"vgg16": lambda x: torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)},
            "perceptual": lambda a, b: (a - b).abs().mean((1, 2, 3)),
            **changes,
        },
    )


def test_who_obeys_keeps_the_structure():
    obedient, deaf = report_of(Obedient), report_of(Deaf)
    assert obedient.num_pictures == 30
    assert obedient.structure.percent < 1 < obedient.structure.shuffled_percent
    assert obedient.structure.ratio < 0.1
    assert 0.5 < deaf.structure.ratio < 2
    assert obedient.witness is None and "witness_ratio" not in obedient.to_dict()


def test_another_graph_may_bear_witness():
    """One that sees what the painter was not told of finds no structure."""
    same, other = (
        report_of(Obedient, witness=kind(AutoLinkConfig(num_keypoints=4, image_size=64, width=0.05)))
        for kind in (Brightest, Erratic)
    )
    assert same.witness == same.structure
    assert Structure(0.0, 0.0).ratio == 1
    values = other.to_dict()
    assert values["witness_ratio"] == values["witness_percent"] / values["witness_shuffled_percent"] > 0.5


def test_the_style_s_distance_is_less_in_one_style_than_in_two():
    report = report_of(Obedient)
    assert 0 < report.style_same < report.style_other
    assert report.diversity > 0


def test_the_distances_and_their_floor():
    values = report_of(Obedient).to_dict()
    assert 0 <= values["real_fd_vgg16"] < values["fd_vgg16"]
    assert values["real_kd_vgg16"] < values["kd_vgg16"]
    assert values["structure_ratio"] == pytest.approx(
        values["structure_percent"] / values["structure_shuffled_percent"]
    )
    alone = report_of(Obedient, others=None).to_dict()
    assert "real_fd_vgg16" not in alone and alone["fd_vgg16"] == pytest.approx(values["fd_vgg16"])


def test_inception_s_distances_have_their_own_names():
    extractors = {"inception": lambda x: x.mean((2, 3))}
    assert {"fid", "kid", "real_fid"} <= report_of(Obedient, extractors=extractors).distances.keys()


def test_structure_by_hand():
    """Painted 6.3 pixels to the right of 63: ten per cent of the width."""
    gan = gan_of(Obedient)
    keypoints = torch.tensor([[[0.0, 0.0]] * 3, [[0.5, 0.5]] * 3])
    painted = gan.generate(keypoints + torch.tensor([0.2, 0.0]), torch.zeros(2, 8))
    asked, shuffled = structure_of(painted, keypoints, graph=gan.graph)
    assert asked == pytest.approx(10, abs=1)
    assert shuffled > 20


@pytest.mark.parametrize("count", [2, 3, 100])
def test_each_picture_is_compared_with_one_other(count):
    others = elsewhere(count)
    assert sorted(others.tolist()) == list(range(count)), "each pose serves once"
    assert (others != torch.arange(count)).all()
    if count == 100:
        near = ((others - torch.arange(count)).abs() == 1).sum()
        assert near < 20, "neighbours are often pictures of one person"


def test_one_picture_is_too_few():
    with raises_mentioning(ValueError, ("1 picture", "1 image"), "few", "GAN"):
        evaluate_gan(gan_of(Obedient), Blobs(1), others=None, extractors={}, perceptual=lambda a, b: a)


def test_keypoints_that_were_left_out_of_the_graph_do_not_count():
    whole = Brightest(AutoLinkConfig(num_keypoints=3, image_size=64, width=0.05))
    pictures = torch.stack([Blobs(6)[index] for index in range(6)]).float() / 255
    asked = whole.detect(pictures)
    asked[:, 1] += 0.5  # on the background, say
    assert structure_of(pictures, asked, graph=whole).percent == pytest.approx(0.5 * 2**0.5 / 2 * 100 / 3)
    left = structure_of(pictures, asked, graph=whole.without_keypoints([1]))
    assert left.percent == pytest.approx(0, abs=1e-4) and left.shuffled_percent > 5
