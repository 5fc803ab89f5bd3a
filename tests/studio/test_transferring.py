import shlex
from pathlib import Path

import pytest
from helpers.cli import run_cli
from helpers.messages import assert_mentions, raises_mentioning
from helpers.video_clips import destroy_packet, make_frames, write_click, write_clip
from PIL import Image

from autolink_gen.config import build
from autolink_gen.data.video.reader import VideoReader
from autolink_gen.inference.transfer import Transfer, save_transfer
from autolink_gen.inference.transfer_video import Look
from autolink_gen.studio.jobs import Job
from autolink_gen.studio.shelf import KeptFile, Shelf
from autolink_gen.studio.transferring import Moved, TransferDesk, TransferRequest, request_of


@pytest.fixture
def desk(transfer: Transfer) -> TransferDesk:
    return TransferDesk(transfer, name="runs/transfer/tiny")


def _kept(path: Path) -> KeptFile:
    return KeptFile("token", path, path.name)


@pytest.fixture
def source(tmp_path: Path) -> KeptFile:
    Image.fromarray(make_frames(1, height=64, width=64)[0]).save(tmp_path / "source.png")
    return _kept(tmp_path / "source.png")


@pytest.fixture
def driver(tmp_path: Path) -> KeptFile:
    sound = write_click(tmp_path / "click.wav", at_s=0.1, length_s=0.4)
    return _kept(write_clip(tmp_path / "driver.mp4", 10, sound=sound))


class _Watched(Job):
    """A job that is stopped after some steps."""

    def __init__(self, stop_after: int) -> None:
        super().__init__()
        self.stop_after = stop_after

    def progress(self, items, total, label):
        for item in super().progress(items, total, label):
            yield item
            self.is_stopped = self.is_stopped or self.done + 1 >= self.stop_after


def _move(
    desk: TransferDesk, source: KeptFile, driver: KeptFile, results: Path, *, job: Job | None = None, **options: object
) -> tuple[Moved, KeptFile]:
    shelf = Shelf(results)
    request = build(TransferRequest, {"source": "a", "driver": "b", **options})
    moved = desk.move(request, source, driver, results=shelf, job=job or Job())
    return moved, shelf.get(moved.token)


def test_the_result_is_that_of_the_command(
    desk: TransferDesk, source: KeptFile, driver: KeptFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_transfer(tmp_path / "runs/transfer/tiny/model.safetensors", desk.network)
    moved, file = _move(
        desk,
        source,
        driver,
        tmp_path / "results",
        smooth={"kind": "median", "window": 3},
        adapt_scale=True,
        relative=True,
        start_s=0.08,
        end_s=0.32,
        look={"side_by_side": True, "crop": False, "size": 32},
        audio="none",
    )
    run_cli(*shlex.split(moved.command)[1:], "--device", "cpu")
    assert file.path.read_bytes() == (tmp_path / moved.name).read_bytes()
    assert moved.num_frames == 6


def test_the_result_has_the_drivers_length_and_sound(
    desk: TransferDesk, source: KeptFile, driver: KeptFile, tmp_path: Path
) -> None:
    job = Job()
    moved, file = _move(desk, source, driver, tmp_path / "results", job=job)
    made = VideoReader(file.path)
    assert (made.num_frames, made.has_audio, made.width) == (10, True, desk.network.usual_size)
    assert (job.done, job.total) == (10, 10)
    assert moved.name == "source-driver.mp4"


def test_a_picture_as_the_driver_gives_a_picture(desk: TransferDesk, source: KeptFile, tmp_path: Path) -> None:
    moved, file = _move(desk, source, source, tmp_path / "results")
    assert moved.is_image
    assert Image.open(file.path).size == (desk.network.usual_size,) * 2


def test_a_job_that_is_stopped_keeps_the_frames_until_then(
    desk: TransferDesk, source: KeptFile, driver: KeptFile, tmp_path: Path
) -> None:
    moved, file = _move(desk, source, driver, tmp_path / "results", job=_Watched(3))
    assert len(list(VideoReader(file.path))) == 3
    (remark,) = moved.remarks  # none on the driver, which is whole
    assert_mentions(remark, "3 frames", "stopped", "command makes all")


def test_a_stop_after_the_last_frame_cuts_nothing(
    desk: TransferDesk, source: KeptFile, driver: KeptFile, tmp_path: Path
) -> None:
    moved, _ = _move(desk, source, driver, tmp_path / "results", job=_Watched(10))
    assert (moved.num_frames, moved.remarks) == (10, [])


def test_a_job_that_is_stopped_at_once_says_so_and_leaves_nothing(
    desk: TransferDesk, source: KeptFile, driver: KeptFile, tmp_path: Path
) -> None:
    job = Job(is_stopped=True)
    for best in (False, True):
        with raises_mentioning(ValueError, "stopped"):
            _move(desk, source, driver, tmp_path / "results", job=job, find_best_frame=best)
    assert list((tmp_path / "results").iterdir()) == []


def test_a_driver_that_breaks_off_keeps_the_frames_until_then(
    desk: TransferDesk, source: KeptFile, driver: KeptFile, tmp_path: Path
) -> None:
    for packet in range(6, 10):
        destroy_packet(driver.path, packet=packet, keep=0)
    moved, file = _move(desk, source, driver, tmp_path / "results")
    assert 0 < len(list(VideoReader(file.path))) < 10
    assert_mentions(" ".join(moved.remarks), "driver.mp4", "early")
    assert str(tmp_path) not in " ".join(moved.remarks)


def test_what_cannot_be_read_is_named_and_leaves_nothing(
    desk: TransferDesk, source: KeptFile, driver: KeptFile, tmp_path: Path
) -> None:
    (tmp_path / "notes.mp4").write_text("just words")
    notes = _kept(tmp_path / "notes.mp4")
    for first, second in ((notes, driver), (source, notes)):
        with raises_mentioning(ValueError, "notes.mp4"):
            _move(desk, first, second, tmp_path / "results")
    assert list((tmp_path / "results").iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_s": -1},
        {"audio": "both"},
        {"relative": "maybe"},
        {"driver": ["b"]},
        {"smooth": "much"},
    ],
)
def test_options_are_checked_as_those_of_the_command(wrong: dict[str, object]) -> None:
    with raises_mentioning(ValueError, next(iter(wrong))):
        build(TransferRequest, {"source": "a", "driver": "b", **wrong})


def test_the_look_is_checked_as_that_of_the_command() -> None:
    for look, words in (({"size": 4096}, ("look.size", 1024)), ({"paste_back": True, "side_by_side": True}, ("side",))):
        with raises_mentioning(ValueError, *words):
            build(TransferRequest, {"source": "a", "driver": "b", "look": look})


def test_a_wrong_number_is_called_what_the_page_calls_it() -> None:
    wrong = {"look": {"size": 1}, "start_s": -3, "end_s": 0}
    with raises_mentioning(ValueError, "Width", 16, "From second", -3, "To second") as raised:
        request_of({"source": "a", "driver": "b", **wrong})
    assert not any(field in str(raised.value) for field in ("look", "start_s", "end_s"))


def test_a_result_without_a_look_is_cropped() -> None:
    assert build(TransferRequest, {"source": "a", "driver": "b"}).look == Look()
