"""Pictures that move are films where a film is asked for; and the last frame is held as long as the file says."""

from pathlib import Path

import numpy as np
import pytest
from helpers.messages import raises_mentioning
from helpers.video_clips import brightness_of, make_frames, write_click
from PIL import Image

from autolink_gen.common.limits import PIXELS_VARIABLE
from autolink_gen.data.images import read_image
from autolink_gen.data.video.animated_images import AnimatedImage, is_video_or_animation, open_video
from autolink_gen.data.video.clips import list_clips
from autolink_gen.data.video.reader import VideoError, VideoReader
from autolink_gen.data.video.stream import FrameStream
from autolink_gen.data.video.writer import VideoWriter

HOLDS_MS = [100, 200, 100, 100, 2000]
STARTS_S = [0.0, 0.1, 0.3, 0.4, 0.5]


def moving(path: Path, form: str, *, count: int = 5, **options: object) -> Path:
    first, *more = (Image.fromarray(frame) for frame in make_frames(count))
    exact = {"lossless": True} if form == "WEBP" else {}
    duration = HOLDS_MS[:count] if count > 1 else 100
    first.save(path, form, save_all=True, append_images=more, duration=duration, **exact, **options)
    return path


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.webp", "WEBP"), ("a.png", "PNG"), ("a.gif", "GIF"), ("really.png", "GIF"), ("really.gif", "WEBP"),
     ("really.jpg", "PNG")],
)  # fmt: skip
def test_a_picture_that_moves_is_a_film(tmp_path: Path, name: str, form: str) -> None:
    path = moving(tmp_path / name, form)
    stream = FrameStream(path)
    frames = list(stream)
    assert is_video_or_animation(path) and not stream.is_image
    assert brightness_of([frame.pixels for frame in frames]) == pytest.approx([20, 24, 28, 32, 36], abs=1)
    assert [frame.time_s for frame in frames] == pytest.approx(STARTS_S)
    assert (stream.num_frames, stream.length_s, stream.ends_s) == (5, pytest.approx(2.5), pytest.approx(2.5))
    assert not stream.ends_early and not stream.has_audio
    assert [frame.time_s for frame in FrameStream(path, start_s=0.3, end_s=0.5)] == pytest.approx([0.0, 0.1])
    assert brightness_of([frame.pixels for frame in FrameStream(path, start_s=1.0)]) == pytest.approx([36], abs=1)
    assert brightness_of(stream.spread(2)) == pytest.approx([20, 36], abs=1)


@pytest.mark.parametrize(("name", "form"), [("a.webp", "WEBP"), ("a.png", "PNG"), ("a.png", "GIF")])
def test_elsewhere_its_first_frame_counts(tmp_path: Path, name: str, form: str) -> None:
    (tmp_path / "set").mkdir()
    path = moving(tmp_path / "set" / name, form)
    assert np.asarray(read_image(path))[-1, -1, 0] == 20
    moving(tmp_path / "set" / "b.png", "PNG", count=1)
    assert [clip.count() for clip in list_clips(tmp_path)] == [2], "a folder of frames, no film in it"
    assert len(list(FrameStream(tmp_path / "set"))) == 2


@pytest.mark.parametrize(("name", "form"), [("a.webp", "WEBP"), ("a.png", "PNG"), ("a.png", "GIF"), ("a.jpg", "JPEG")])
def test_a_still_picture_is_none(tmp_path: Path, name: str, form: str) -> None:
    Image.fromarray(make_frames(1)[0]).save(tmp_path / name, form)
    assert not is_video_or_animation(tmp_path / name)
    assert FrameStream(tmp_path / name).is_image


def test_the_picture_for_programs_that_know_no_films_is_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    first, *more = (Image.fromarray(frame) for frame in make_frames(4))
    first.save(path, save_all=True, append_images=more, default_image=True, duration=40)
    assert brightness_of(list(open_video(path))) == pytest.approx([24, 28, 32], abs=1)
    assert open_video(path).fps == 25


def test_what_can_be_seen_through_lies_on_white(tmp_path: Path) -> None:
    frames = [Image.new("RGBA", (20, 20), (0, 0, 0, alpha)) for alpha in (0, 255)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=50, lossless=True)
    assert [frame[0, 0, 0] for frame in open_video(tmp_path / "a.webp")] == [255, 0]


def test_a_little_damage_is_passed_over(tmp_path: Path) -> None:
    path = moving(tmp_path / "a.png", "PNG")
    data = bytearray(path.read_bytes())
    data[data.rfind(b"fdAT") + 12 :] = bytes(len(data) - data.rfind(b"fdAT") - 12)
    path.write_bytes(data)
    film = open_video(path, max_bad_share=0.2)
    assert brightness_of(list(film)) == pytest.approx([20, 24, 28, 32], abs=1)
    assert film.bad_frames == 1
    with pytest.raises(VideoError, match="1 of its 5 frames"):
        list(open_video(path, max_bad_share=0.1))


@pytest.mark.parametrize(("name", "form"), [("a.webp", "WEBP"), ("a.png", "PNG")])
def test_a_damaged_one_ends_in_one_line(tmp_path: Path, name: str, form: str) -> None:
    path = moving(tmp_path / name, form)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with raises_mentioning(VideoError, name, "copy", "download") as error:
        list(open_video(path))
    assert "\n" not in str(error.value)


def test_frames_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = moving(tmp_path / "a.png", "PNG")
    monkeypatch.setenv(PIXELS_VARIABLE, "9000")  # of 64 x 48, which count three times
    with pytest.raises(VideoError, match=rf"64 x 48 pixels are too large.*{PIXELS_VARIABLE}"):
        open_video(path)
    monkeypatch.setenv(PIXELS_VARIABLE, "10000")
    assert len(list(open_video(path))) == 5


def test_other_files_are_opened_as_videos(tmp_path: Path) -> None:
    assert type(open_video(moving(tmp_path / "a.gif", "GIF"))) is VideoReader
    assert type(open_video(moving(tmp_path / "a.webp", "WEBP"))) is AnimatedImage
    with raises_mentioning(VideoError, "none.webp", "no such file"):
        open_video(tmp_path / "none.webp")


# ---- how long the last frame is shown ----


@pytest.mark.parametrize("ending", ["gif", "mp4", "mov", "webm"])
@pytest.mark.parametrize("form", ["GIF", "WEBP"])
def test_the_last_frame_is_held_from_file_to_file(tmp_path: Path, ending: str, form: str) -> None:
    driver = FrameStream(moving(tmp_path / f"a.{form.lower()}", form))
    target = tmp_path / f"b.{ending}"
    with VideoWriter(target, fps=driver.fps) as writer:
        for frame in driver:
            writer.write(frame.pixels, time_s=frame.time_s)
        writer.end_at(driver.ends_s)
    again = FrameStream(target)
    frames = list(again)
    assert [frame.time_s for frame in frames] == pytest.approx(STARTS_S, abs=2e-3)
    assert (again.length_s, again.ends_s) == (pytest.approx(2.5, abs=0.01), pytest.approx(2.5, abs=0.01))
    assert brightness_of(again.spread(2))[1] == pytest.approx(36, abs=3), "at half its length the last frame is shown"
    if ending == "gif":
        with Image.open(target) as image:
            assert [image.seek(i) or image.info["duration"] for i in range(5)] == HOLDS_MS


def test_sound_goes_on_while_the_last_frame_is_held(tmp_path: Path) -> None:
    click = write_click(tmp_path / "click.wav", at_s=0.1, length_s=3.0)
    with VideoWriter(tmp_path / "a.mp4", fps=25, copy_audio_from=click) as writer:
        for frame in make_frames(5):
            writer.write(frame)
        writer.end_at(1.5)
    assert VideoReader(tmp_path / "a.mp4").length_s == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize("ending", ["gif", "mp4", "webm"])
@pytest.mark.parametrize("end_s", [None, 0.0, 0.36, 0.4, -1.0])
def test_an_end_that_is_usual_changes_nothing(tmp_path: Path, ending: str, end_s: float | None) -> None:
    with VideoWriter(tmp_path / f"a.{ending}", fps=25) as writer:
        for frame in make_frames(10):
            writer.write(frame)
        if end_s is not None:
            writer.end_at(end_s)
    film = VideoReader(tmp_path / f"a.{ending}")
    assert (len(list(film)), film.fps, film.length_s) == (10, 25, pytest.approx(0.4))


def test_an_absurd_end_is_not_believed(tmp_path: Path) -> None:
    for ending in ("gif", "mp4"):
        with VideoWriter(tmp_path / f"a.{ending}", fps=25) as writer:
            writer.write(make_frames(1)[0])
            writer.end_at(1e9)
        assert VideoReader(tmp_path / f"a.{ending}").length_s == pytest.approx(600, abs=1)
