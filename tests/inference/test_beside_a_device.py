"""What is detected and painted beside a device: as on the CPU, while the next images are read and begun."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.detecting import save_film, save_picture
from helpers.tiny_models import tiny_gan, tiny_graph, tiny_transfer
from PIL import Image
from torch.utils.data import Dataset

from autolink_gen.common.batch_sizes import BatchSize
from autolink_gen.common.progress import no_progress
from autolink_gen.data.puppets.dataset import puppet_clip
from autolink_gen.data.video.base import VideoError
from autolink_gen.data.video.stream import FrameStream
from autolink_gen.inference.detect import SourceImage, detect_images, mean_pose
from autolink_gen.inference.detect_batches import detect_with_colours
from autolink_gen.inference.detect_files import detect_files
from autolink_gen.inference.paint_files import generate
from autolink_gen.inference.planning import Motion
from autolink_gen.inference.smoothing import Smoothing
from autolink_gen.inference.transfer import Animator, Transfer
from autolink_gen.inference.transfer_video import Look, transfer_video
from autolink_gen.models.autolink import AutoLink

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(params=["cpu", "aside"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The CPU alone, or beside what does as if it were a device."""
    monkeypatch.setattr("autolink_gen.common.ahead.works_aside", lambda device: request.param == "aside")
    return request.param


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    return lambda aside: monkeypatch.setattr("autolink_gen.common.ahead.works_aside", lambda device: aside)


def images(count: int) -> Iterator[SourceImage]:
    draw = np.random.default_rng(0)
    for number in range(count):
        side = 64 if number % 3 else 80
        yield SourceImage(Path(f"{number}.png"), 0, None, draw.integers(0, 256, (side, 64, 3)).astype(np.uint8))


class Squares(Dataset[torch.Tensor]):
    """The same images, cut to squares."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy([*images(index + 1)][-1].pixels[:64]).permute(2, 0, 1)


class Noting(AutoLink):
    """Says what it was given, and by which thread it was called; more than ``most`` are too many."""

    most = 99

    def detect_unchecked(self, pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.given.append(len(pixels))
        assert threading.current_thread() is threading.main_thread()
        return super().detect_unchecked(pixels)


def noting(**changes: object) -> Noting:
    graph = Noting(tiny_graph(**changes).config)
    graph.load_state_dict(tiny_graph(**changes).state_dict())
    graph.given = []
    return graph.eval()


def test_images_are_detected_as_on_the_cpu(beside: Callable[[bool], None]) -> None:
    found = []
    for aside in (False, True):
        beside(aside)
        graph = noting()
        detections = list(detect_images(graph, images(11), batch_size=4))
        assert [detection.source.file.stem for detection in detections] == [str(number) for number in range(11)]
        colours = detect_with_colours(graph, (image.pixels for image in images(5)), batch_size=2)
        mean = mean_pose(graph, Squares(), batch_size=2)
        several = graph.detect([image.pixels for image in images(5)])
        found.append([*(one.keypoints_px for one in detections), *colours, mean, several.numpy()])
    assert all((first == second).all() for first, second in zip(*found, strict=True))


def test_the_next_batch_is_begun_before_the_one_before_it_is_used(place: str) -> None:
    graph = noting()
    detections = detect_images(graph, images(9), batch_size=3)
    next(detections)
    assert sum(graph.given) == (3 if place == "cpu" else 6)
    assert len(list(detections)) == 8 and sum(graph.given) == 9


def test_a_batch_too_large_for_the_device_is_taken_in_parts(place: str) -> None:
    graph, failed = noting(), []
    graph.most = 1
    found = detect_images(graph, images(5), batch_size=4, on_error=lambda image, error: failed.append(error))
    assert [one.source.file.stem for one in found] == list("01234")
    assert not failed and set(graph.given) == {1}
    assert len(graph.detect([image.pixels for image in images(5)])) == 5


def test_files_give_the_same_tables_and_overlays(tmp_path: Path, beside: Callable[[bool], None]) -> None:
    for number in range(5):
        save_picture(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "3.png").write_bytes(b"no image")
    save_film(tmp_path / "in" / "film.mp4")
    written = []
    for aside in (False, True):
        beside(aside)
        out = tmp_path / f"out{aside}"
        report = detect_files(tiny_graph().eval(), tmp_path / "in", out=out, batch_size=2, progress=no_progress)
        assert report.num_records == 24 and [path.name for path, _ in report.skipped] == ["3.png"]
        written.append([(out / name).read_bytes() for name in ("keypoints.csv", "keypoints.json", "4.png")])
    assert written[0] == written[1]


def test_a_gan_paints_the_same(tmp_path: Path, beside: Callable[[bool], None]) -> None:
    gan, film = tiny_gan(poses=torch.rand(3, 3, 2) - 0.5), save_film(tmp_path / "film.mp4", num_frames=5)
    written = []
    for aside in (False, True):
        beside(aside)
        out = tmp_path / str(aside)
        generate(gan, seeds=[0, 1], out=out / "images", progress=no_progress)
        generate(gan, interpolate="style", frames=20, out=out / "way.gif", progress=no_progress)
        generate(gan, poses=film, seeds=[0], out=out / "moved.gif", progress=no_progress)
        written.append({file.relative_to(out): file.read_bytes() for file in out.rglob("*") if file.is_file()})
    assert len(written[0]) == 3 * 2 + 1 + 1 + 1
    assert written[0] == written[1]


def animate(transfer: Transfer, folder: Path, out: Path, *, smooth: str = "one-euro", **options: object) -> int:
    source, driver = FrameStream(folder / "0.png"), FrameStream(folder)
    look, motion = Look(crop=False), Motion(smooth=Smoothing.parse(smooth))
    return transfer_video(transfer, source, driver, out, look=look, motion=motion, **options).num_frames


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A folder of seven frames."""
    (tmp_path / "clip").mkdir()
    for number, pixels in enumerate(puppet_clip(0, 0, num_frames=7, size=64)[0]):
        Image.fromarray(pixels).save(tmp_path / "clip" / f"{number}.png")
    return tmp_path / "clip"


def moving() -> Transfer:
    graph = tiny_graph(sigma2=1e-2).prepare_for_inference()
    return tiny_transfer(graph, poses=torch.rand(4, 3, 2, generator=torch.Generator().manual_seed(0)) - 0.5)


def test_a_driver_moves_a_source_the_same(clip: Path, tmp_path: Path, beside: Callable[[bool], None]) -> None:
    written = []
    for aside in (False, True):
        beside(aside)
        out = tmp_path / str(aside)
        assert animate(moving(), clip, out, batch_size=3) == 7
        written.append({file.name: file.read_bytes() for file in out.iterdir()})
    assert len(written[0]) == 7 and written[0] == written[1]


@pytest.mark.parametrize("batch_size", [1, 4, None])
def test_frames_before_a_break_of_the_driver_are_painted(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, batch_size: int | None
) -> None:
    plain = FrameStream.__iter__

    def breaks_off(self: FrameStream) -> Iterator[object]:
        for frame in plain(self):
            if frame.number == 6:
                raise VideoError("its 7th frame is damaged")
            yield frame

    monkeypatch.setattr(FrameStream, "__iter__", breaks_off)
    assert animate(moving(), clip, tmp_path / "out", batch_size=batch_size, smooth="median") == 6
    assert len(list((tmp_path / "out").iterdir())) == 6


def test_frames_too_many_for_the_device_are_painted_in_parts(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    plain, given = Transfer.paint_unchecked, []

    def paint(self: Transfer, keypoints: torch.Tensor, appearance: object) -> torch.Tensor:
        if len(keypoints) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        given.append(len(keypoints))
        return plain(self, keypoints, appearance)

    monkeypatch.setattr(Transfer, "paint_unchecked", paint)
    assert animate(moving(), clip, tmp_path / "out", batch_size=5) == 7
    assert sum(given) == 7 and max(given) == 2


@needs_cuda
def test_no_batch_waits_for_a_cuda_device(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = tiny_graph().to("cuda").prepare_for_inference()
    transfer = moving().to("cuda").prepare_for_inference()
    frames = puppet_clip(0, 0, num_frames=7, size=64)[0]
    animator = Animator(transfer, frames[:1], Motion())
    gan = tiny_gan().to("cuda").eval()

    def work() -> tuple[int, int]:
        found = len(list(detect_images(graph, images(9), batch_size=3)))
        batches = [[(0.04 * number, pixels)] for number, pixels in enumerate(frames)]
        return found, len(list(animator.animate(batches, BatchSize(2))))

    work()  # makes kernels, for which it may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert work() == (9, 7)
        gan.paint_unchecked(torch.zeros(2, 3, 2, device="cuda"), torch.zeros(2, gan.style_size, device="cuda"))
    finally:
        torch.cuda.set_sync_debug_mode("default")


@needs_cuda
def test_keypoints_of_a_cuda_device_are_those_of_the_cpu() -> None:
    graph = tiny_graph(width=0.5).prepare_for_inference()
    expected = [one.keypoints_px for one in detect_images(graph, images(9))]
    graph.to("cuda").prepare_for_inference()
    found = [one.keypoints_px for one in detect_images(graph, images(9))]
    assert np.abs(np.stack(found) - np.stack(expected)).max() < 1e-2
