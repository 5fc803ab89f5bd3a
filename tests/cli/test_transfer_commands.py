"""`autolink-gen transfer`: what it writes, what it says, what it refuses."""

import wave
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import run_cli
from helpers.messages import assert_line_mentions
from helpers.tiny_train_transfer import make_transfer_run
from PIL import Image

import autolink_gen
from autolink_gen.common.progress import no_progress
from autolink_gen.data.video.reader import VideoReader
from autolink_gen.data.video.writer import VideoWriter


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_transfer_run(tmp_path_factory.mktemp("place"))


@pytest.fixture
def here(place, monkeypatch) -> Path:
    monkeypatch.chdir(place)
    return place


def test_a_video_moved_by_another(here, tmp_path):
    source, driver = (str(here / "voxceleb2" / part / "00001.mp4") for part in ("dev/mp4/id1/a", "dev/mp4/id2/b"))
    out = tmp_path / "out.mp4"
    output = run_cli("transfer", source, driver, "-o", str(out)).output
    assert "model: runs/transfer/" in output and "(newest)" in output
    assert f"wrote {out} (4 frames)" in output
    reader = VideoReader(out)
    assert (reader.width, reader.height, reader.fps, reader.num_frames) == (256, 256, 25, 4)
    assert not reader.has_audio


def test_the_name_of_the_result_and_the_choices(here, tmp_path, monkeypatch):
    source, driver = (here / "voxceleb2" / part / "00001.mp4" for part in ("dev/mp4/id1/a", "dev/mp4/id2/b"))
    choices = ("--relative", "--adapt-scale", "--find-best-frame", "--smooth", "--side-by-side", "--size", "96")
    cut = ("--start", "0.04", "--end", "0.12", "--model", str(here / "runs" / "transfer" / "voxceleb2"))
    monkeypatch.chdir(tmp_path)
    output = run_cli("transfer", str(source), str(driver), *choices, *cut).output
    assert "wrote 00001-00001.mp4 (2 frames)" in output
    reader = VideoReader("00001-00001.mp4")
    assert (reader.width, reader.height) == (4 * 96, 96)


def test_a_name_without_an_ending_is_a_folder_of_frames(here, tmp_path):
    video = str(here / "voxceleb2/dev/mp4/id1/a/00001.mp4")
    run_cli("transfer", video, video, "-o", str(tmp_path / "frames"))
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == [f"{n:06d}.png" for n in range(4)]
    refused = run_cli("transfer", video, video, "-o", str(tmp_path / "frames"), expect=1).output
    assert_line_mentions(refused, tmp_path / "frames", "empty", "new folder")


def test_results_that_are_there_are_replaced_with_overwrite_alone(here, tmp_path, monkeypatch):
    video = str(here / "voxceleb2/dev/mp4/id1/a/00001.mp4")
    model = ("--model", str(here / "runs/transfer/voxceleb2"))
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "face.png")
    monkeypatch.chdir(tmp_path)
    for name in ("out.gif", "00001-00001.mp4", "face-face.png"):
        (tmp_path / name).write_text("mine")
    named, usual, picture = (video, video, "-o", "out.gif"), (video, video), ("face.png", "face.png")
    for given, name in ((named, "out.gif"), (usual, "00001-00001.mp4"), (picture, "face-face.png")):
        with monkeypatch.context() as patch:
            patch.setattr("autolink_gen.inference.transfer.load_transfer", None)  # nothing long has begun
            refused = run_cli("transfer", *given, *model, expect=1).output
        assert_line_mentions(refused, name, "already", "--out", "--overwrite")
        assert (tmp_path / name).read_text() == "mine"
    assert "wrote out.gif (4 frames)" in run_cli("transfer", *named, *model, "--overwrite").output
    assert (tmp_path / "out.gif").read_bytes()[:3] == b"GIF"
    assert "wrote out.webp (4 frames)" in run_cli("transfer", *usual, *model, "-o", "out.webp").output
    assert (tmp_path / "out.webp").read_bytes()[8:12] == b"WEBP"
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "note.txt").touch()
    refused = run_cli("transfer", *usual, *model, "-o", "frames", "--overwrite", expect=1).output
    assert_line_mentions(refused, "frames", "empty", "new folder")
    assert len(list((tmp_path / "frames").iterdir())) == 1


def test_the_frame_that_movement_starts_from_is_named():
    from autolink_gen.inference.transfer_files import _start
    from autolink_gen.inference.transfer_video import TransferReport

    (line,) = _start(TransferReport(20, 0, 8, reference_frame=8, reference_s=0.32))
    assert_line_mentions(line, "frame 8", "0.32 s", "clear pose", "--find-best-frame")
    (line,) = _start(TransferReport(20, 0, 0, reference_frame=5, reference_s=0.2, is_best_frame=True))
    assert_line_mentions(line, "frame 5", "0.20 s", "source")
    assert _start(TransferReport(20, 0, 0, reference_frame=0, reference_s=0.0)) == []
    assert _start(TransferReport(20, 0, 0)) == []


def test_the_painted_square_is_put_back(here, tmp_path):
    driver = str(here / "voxceleb2/dev/mp4/id1/a/00001.mp4")
    source = tmp_path / "wide.png"
    picture = Image.new("RGB", (160, 90), (10, 200, 30))
    picture.paste((200, 40, 30), (70, 35, 90, 55))
    picture.save(source)
    given = ("transfer", str(source), driver, "-o", str(tmp_path / "out.mp4"), "--paste-back")
    run_cli(*given, "--crop", "none")
    reader = VideoReader(tmp_path / "out.mp4")
    assert (reader.width, reader.height) == (160, 90)
    frame = next(iter(reader)).astype(int)
    assert np.abs(frame[:, :20] - (10, 200, 30)).max() < 12, "beside the square the source is as it was"
    assert np.abs(frame[30:60, 65:95] - (10, 200, 30)).max() > 12
    assert "choose one" in run_cli(*given, "--side-by-side", expect=1).output


def test_a_picture_moved_by_a_picture(here, tmp_path):
    for number in range(2):
        picture = Image.linear_gradient("L").resize((80, 60)).convert("RGB")
        picture.paste((200, 40, 30), (20, 10, 40 + 10 * number, 50))
        picture.save(tmp_path / f"{number}.png")
    out = tmp_path / "out.png"
    output = run_cli("transfer", str(tmp_path / "0.png"), str(tmp_path / "1.png"), "-o", str(out)).output
    assert f"wrote {out} (1 frame)" in output and Image.open(out).size == (256, 256)


def test_a_picture_gives_its_pose_at_the_sources_size(here, tmp_path, monkeypatch):
    from autolink_gen.inference import transfer_files

    motions, plain = [], transfer_files.transfer_video

    def noted(*arguments, motion, **more):
        motions.append((motion.relative, motion.adapt_scale))
        return plain(*arguments, motion=motion, **more)

    monkeypatch.setattr(transfer_files, "transfer_video", noted)
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(tmp_path / "face.png")
    picture, video = str(tmp_path / "face.png"), str(here / "voxceleb2/dev/mp4/id1/a/00001.mp4")
    for number, more in enumerate(((picture,), (picture, "--absolute"), (video,))):
        run_cli("transfer", picture, *more, "-o", str(tmp_path / f"out{number}"))
    assert motions == [(False, True), (False, False), (True, False)]


def test_a_call_gives_the_frames_that_the_command_gives(here, tmp_path):
    video = here / "voxceleb2/dev/mp4/id1/a/00001.mp4"
    run_cli("transfer", str(video), str(video), "-o", str(tmp_path / "command"))
    network = next((here / "runs" / "transfer").glob("*/model.safetensors")).parent
    report = autolink_gen.transfer(network, video, video, out=tmp_path / "call", progress=no_progress)
    names = sorted(path.name for path in (tmp_path / "command").iterdir())
    assert report.num_frames == len(names) > 1
    for name in names:
        assert (tmp_path / "call" / name).read_bytes() == (tmp_path / "command" / name).read_bytes()
    with pytest.raises(ValueError, match="call"):
        autolink_gen.transfer(network, video, video, out=tmp_path / "call")
    with pytest.raises(ValueError, match="would replace an input"):
        autolink_gen.transfer(network, video, video, out=video, overwrite=True)


def test_a_driver_without_a_pose_is_refused(here, tmp_path):
    source = str(here / "voxceleb2/dev/mp4/id1/a/00001.mp4")
    white = np.full((64, 64, 3), 255, np.uint8)
    Image.fromarray(white).save(tmp_path / "white.png")
    with VideoWriter(tmp_path / "white.mp4", fps=25) as writer:
        writer.write(white)
        writer.write(white)
    for driver, out in (("white.png", "out.png"), ("white.mp4", "out.mp4")):
        output = run_cli("transfer", source, str(tmp_path / driver), "-o", str(tmp_path / out), expect=1).output
        assert_line_mentions(output, driver, "pose")
        assert not (tmp_path / out).exists()


def test_a_picture_that_moves_is_a_driver_and_its_last_frame_is_held(here, tmp_path):
    frames = [Image.linear_gradient("L").resize((64, 64)).rotate(30 * number).convert("RGB") for number in range(3)]
    more = {"save_all": True, "append_images": frames[1:], "duration": [100, 100, 1800], "lossless": True}
    frames[0].save(tmp_path / "driver.webp", **more)
    source, out = str(here / "voxceleb2/dev/mp4/id1/a/00001.mp4"), tmp_path / "out.gif"
    output = run_cli("transfer", source, str(tmp_path / "driver.webp"), "-o", str(out)).output
    assert f"wrote {out} (3 frames)" in output and "ends early" not in output
    with Image.open(out) as image:
        assert [image.seek(number) or image.info["duration"] for number in range(3)] == [100, 100, 1800]


def test_what_is_short_or_silent_is_remarked(here, tmp_path, monkeypatch):
    from autolink_gen.data.video.stream import FrameStream

    video, out = str(here / "voxceleb2/dev/mp4/id1/a/00001.mp4"), str(tmp_path / "out.gif")
    output = run_cli("transfer", video, video, "-o", out, "--audio", "source").output
    assert_line_mentions(output, "00001.mp4", "no audio", "silent")
    assert "ends early" not in output
    plain = FrameStream.__init__

    def longer(self, *arguments, **more):
        plain(self, *arguments, **more)
        self.length_s = 9.0

    monkeypatch.setattr(FrameStream, "__init__", longer)
    output = run_cli("transfer", video, video, "-o", out, "--source-frames", "1", "--overwrite").output
    assert_line_mentions(output, "driver", "early", "0.2 of 9.0 seconds")


def test_sound_is_the_drivers_the_sources_or_none(here, tmp_path):
    driver = here / "voxceleb2/dev/mp4/id1/a/00001.mp4"
    with VideoWriter(tmp_path / "loud.mp4", fps=25, copy_audio_from=_tone(tmp_path / "tone.wav")) as writer:
        for number in range(6):
            frame = np.full((64, 64, 3), 20 * number, np.uint8)
            frame[20:40, 20:40] = 200
            writer.write(frame)
    loud, out = str(tmp_path / "loud.mp4"), tmp_path / "out.mp4"
    found = {}
    for name, pair in {"driver": (str(driver), loud), "source": (loud, str(driver)), "none": (loud, loud)}.items():
        run_cli("transfer", *pair, "-o", str(out), "--audio", name, "--overwrite")
        found[name] = VideoReader(out).has_audio
    assert found == {"driver": True, "source": True, "none": False}


def _tone(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((8000 * np.sin(np.arange(8000) * 0.3)).astype(np.int16).tobytes())
    return path


def test_a_driver_that_breaks_off_leaves_what_was_made(here, tmp_path, monkeypatch):
    from autolink_gen.data.video.reader import VideoError
    from autolink_gen.data.video.stream import FrameStream

    plain = FrameStream.__iter__

    def breaks_off(self):
        for frame in plain(self):
            if frame.number == 2:
                raise VideoError("2 of its 4 frames are damaged")
            yield frame

    video = str(here / "voxceleb2/dev/mp4/id1/a/00001.mp4")
    picture = tmp_path / "face.png"
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(picture)
    monkeypatch.setattr(FrameStream, "__iter__", breaks_off)
    out = tmp_path / "out.mp4"
    output = run_cli("transfer", str(picture), video, "-o", str(out), "--batch-size", "1", expect=1).output
    assert "the result ends early: 2 of its 4 frames are damaged" in output
    assert_line_mentions(output, "kept", out, "2 frames")
    assert VideoReader(out).num_frames == 2


def test_a_source_that_was_cut_short_is_remarked(here, tmp_path):
    rng = np.random.default_rng(0)
    with VideoWriter(tmp_path / "cut.mp4", fps=25) as writer:
        for _ in range(40):
            writer.write(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = (tmp_path / "cut.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    driver = str(here / "voxceleb2/dev/mp4/id1/a/00001.mp4")
    output = run_cli("transfer", str(tmp_path / "cut.mp4"), driver, "-o", str(tmp_path / "out.gif")).output
    assert_line_mentions(output, "source", "early", "4 frames")
    assert "the source" not in run_cli("transfer", driver, driver, "-o", str(tmp_path / "whole.gif")).output


def test_what_cannot_be_transferred(here, tmp_path, monkeypatch):
    video = str(here / "voxceleb2/dev/mp4/id1/a/00001.mp4")
    (tmp_path / "notes.txt").touch()
    refused = run_cli("transfer", str(tmp_path / "notes.txt"), video, expect=1).output
    assert_line_mentions(refused, "notes.txt", "name", "video")
    assert "does not exist" in run_cli("transfer", "nobody", video, expect=1).output
    Image.new("RGB", (80, 60), "white").save(tmp_path / "white.png")
    blank = run_cli("transfer", str(tmp_path / "white.png"), video, "-o", str(tmp_path / "out.mp4"), expect=1).output
    assert_line_mentions(blank, "source", "one colour", "object")
    assert not (tmp_path / "out.mp4").exists()
    refused = run_cli("transfer", video, video, "-o", "out.avi", expect=1).output
    assert "must end in .mp4, .mov, .webm, .gif" in refused
    assert "would replace an input" in run_cli("transfer", video, video, "-o", video, expect=1).output
    assert "the start is at 9 s" in run_cli("transfer", video, video, "--start", "9", expect=1).output
    between = run_cli(
        "transfer", video, video, "--start", "0.05", "--end", "0.06", "-o", str(tmp_path / "one.gif")
    ).output
    assert "one.gif (1 frame)" in between, "the frame that is shown then"
    inside = str(tmp_path / "white.png" / "out.gif")
    assert_line_mentions(run_cli("transfer", video, video, "-o", inside, expect=1), "white.png", "folder", "--out")
    monkeypatch.chdir(tmp_path)
    refused = run_cli("transfer", video, video, expect=1).output
    assert_line_mentions(refused, "runs/transfer", "no finished run")
    assert "autolink-gen train-transfer" in refused
