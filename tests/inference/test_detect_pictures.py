from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny_models import tiny_graph
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.data.images import ImageError
from autolink_gen.data.video.reader import VideoReader
from autolink_gen.data.video.writer import VideoWriter
from autolink_gen.inference.detect import (
    SourceImage,
    detect_images,
    mean_pose,
    read_image_files,
    video_frames,
)
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig


class BrightSpot(AutoLink):
    """Finds the centre of brightness instead of what training would find; notes the batches it was given."""

    def __init__(self) -> None:
        super().__init__(AutoLinkConfig(num_keypoints=2, image_size=64, width=0.05))
        self.batches: list[tuple[int, ...]] = []

    def detect_unchecked(self, images: Tensor) -> Tensor:
        self.batches.append(tuple(images.shape))
        light = images.mean(dim=1)
        light = light / light.sum(dim=(1, 2), keepdim=True)
        x = (light.sum(dim=1) * torch.linspace(-1, 1, images.shape[3])).sum(dim=1)
        y = (light.sum(dim=2) * torch.linspace(-1, 1, images.shape[2])).sum(dim=1)
        return torch.stack([torch.stack([x, y], dim=1), torch.zeros(len(images), 2)], dim=1)


class Pictures(Dataset[Tensor]):
    def __init__(self, pictures: Tensor) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor:
        return self.pictures[index]


def _spot(width: int, height: int, x: int, y: int, *, side: int = 1) -> SourceImage:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[y : y + side, x : x + side] = 255
    return SourceImage(Path(f"{width}x{height}.png"), 0, None, pixels)


@pytest.mark.parametrize(("width", "height"), [(64, 64), (100, 80), (65, 127), (257, 129)])
def test_keypoints_are_in_pixels_of_the_original(width: int, height: int) -> None:
    [found] = detect_images(BrightSpot(), [_spot(width, height, 20, 30)])
    assert (found.width_px, found.height_px) == (width, height)
    assert found.keypoints_px[0] == pytest.approx((20, 30), abs=0.01 if min(width, height) < 256 else 0.6)
    assert found.keypoints_px[1] == pytest.approx(((width - 1) / 2, (height - 1) / 2), abs=1e-6)
    assert found.keypoints[1] == pytest.approx((0, 0), abs=1e-6)


@pytest.mark.parametrize(("width", "height"), [(512, 512), (1024, 640), (1000, 700), (3000, 1001)])
def test_large_pictures_are_shrunk_first_and_keypoints_stay_exact(width: int, height: int) -> None:
    model = BrightSpot()
    [found] = detect_images(model, [_spot(width, height, 240, 320, side=60)])
    assert min(model.batches[0][2:]) < 256
    assert found.keypoints_px[0] == pytest.approx((240 + 29.5, 320 + 29.5), abs=0.2)


def test_pictures_of_mixed_sizes_keep_their_order() -> None:
    pictures = [_spot(64, 64, i, 5) if i % 2 else _spot(80, 64, i, 5) for i in range(10)]
    model = BrightSpot()
    found = list(detect_images(model, iter(pictures), batch_size=4))
    assert [round(float(item.keypoints_px[0, 0])) for item in found] == list(range(10))
    assert [item.source for item in found] == pictures
    assert max(batch[0] for batch in model.batches) == 2


def test_batches_are_as_large_as_asked_and_the_stream_is_read_as_it_goes() -> None:
    read = 0

    def stream() -> Iterator[SourceImage]:
        nonlocal read
        for i in range(10):
            read += 1
            yield _spot(64, 64, i, 0)

    model = BrightSpot()
    found = detect_images(model, stream(), batch_size=4)
    next(found)
    assert read == 4
    assert len(list(found)) == 9
    assert [batch[0] for batch in model.batches] == [4, 4, 2]


def test_a_real_model_gives_what_its_detect_gives() -> None:
    model = tiny_graph().eval()
    pixels = np.random.default_rng(0).integers(0, 256, (90, 70, 3)).astype(np.uint8)
    [found] = detect_images(model, [SourceImage(Path("a.png"), 0, None, pixels)])
    expected = model.detect(torch.from_numpy(pixels).permute(2, 0, 1).float() / 255)
    assert found.keypoints == pytest.approx(expected.numpy(), abs=1e-5)
    assert found.keypoints_px[:, 0] == pytest.approx((expected[:, 0].numpy() + 1) / 2 * 69, abs=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1)])
def test_pictures_one_pixel_wide_are_survived(size: tuple[int, int]) -> None:
    [found] = detect_images(BrightSpot(), [_spot(*size, 0, 0)])
    assert np.isfinite(found.keypoints).all()


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 40_000), (40_000, 1), (300, 30_000), (30_000, 70)])
def test_long_pictures_take_no_memory(fit: str, size: tuple[int, int]) -> None:
    model = tiny_graph(2, fit=fit).eval()
    given = []
    detect = model.detect_unchecked
    model.detect_unchecked = lambda images: given.append(images.shape[2:]) or detect(images)
    [found] = detect_images(model, [_spot(*size, 0, 0)])
    assert np.isfinite(found.keypoints).all()
    assert max(given[0]) <= 16 * 64
    middle = (np.array(size) - 1) / 2  # a padded picture's keypoints may lie in what was padded
    assert (np.abs(found.keypoints_px - middle) <= max(size)).all()


@pytest.mark.parametrize(("width", "height"), [(3000, 100), (100, 3000)])
@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_keypoints_of_long_pictures_are_in_pixels_of_the_original(width: int, height: int, fit: str) -> None:
    model = BrightSpot()
    model.config = replace(model.config, fit=fit)
    [found] = detect_images(model, [_spot(width, height, width // 3, height // 4, side=12)])
    assert found.keypoints_px[0] == pytest.approx((width // 3 + 5.5, height // 4 + 5.5), abs=0.2)
    [middle] = detect_images(BrightSpot(), [_spot(width, height, width // 2 - 6, height // 2 - 6, side=12)])
    assert middle.keypoints_px[0] == pytest.approx((width / 2 - 0.5, height / 2 - 0.5), abs=0.2)


def test_unreadable_pictures_go_to_the_caller_and_the_rest_is_read(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.png" for name in "abc"]
    for file in files:
        Image.new("RGB", (8, 6)).save(file)
    files[1].write_text("This is no picture.")
    bad: list[tuple[Path, str]] = []
    pictures = read_image_files(files, on_error=lambda path, error: bad.append((path, type(error).__name__)))
    assert [(picture.file, picture.pixels.shape) for picture in pictures] == [
        (files[0], (6, 8, 3)),
        (files[2], (6, 8, 3)),
    ]
    assert bad == [(files[1], ImageError.__name__)]


def test_frames_of_a_video_carry_number_and_time(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, fps=10) as writer:
        for _ in range(20):
            writer.write(np.zeros((64, 64, 3), np.uint8))
    frames = list(video_frames(VideoReader(path), fps=5))
    assert [frame.frame for frame in frames] == list(range(0, 20, 2))
    assert [frame.time_s for frame in frames] == pytest.approx([i / 5 for i in range(10)])
    assert {frame.file for frame in frames} == {path}


def test_mean_pose_is_the_mean_over_pictures_spread_over_the_set() -> None:
    pictures = torch.zeros(9, 3, 64, 64, dtype=torch.uint8)
    for i in range(9):
        pictures[i, :, 10, 4 * i] = 255
    counts: list[int] = []

    def watched(batches: Iterable[torch.Tensor], total: int, label: str) -> Iterator[torch.Tensor]:
        assert total == 3
        for batch in batches:
            counts.append(len(batch))
            yield batch

    pose = mean_pose(BrightSpot(), Pictures(pictures), batch_size=4, progress=watched)
    assert pose[0] == pytest.approx((16 / 31.5 - 1, 10 / 31.5 - 1), abs=1e-5)
    assert counts == [4, 4, 1]
    thirds = mean_pose(BrightSpot(), Pictures(pictures), max_images=3)
    assert thirds[0] == pytest.approx(pose[0], abs=1e-5)


def test_wrong_batch_size_and_empty_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        list(detect_images(BrightSpot(), [], batch_size=0))
    with pytest.raises(ValueError, match="empty"):
        mean_pose(BrightSpot(), Pictures(torch.zeros(0, 3, 64, 64)))
