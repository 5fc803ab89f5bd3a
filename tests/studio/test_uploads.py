import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.messages import raises_mentioning
from helpers.video_clips import HEIGHT, WIDTH, write_click, write_clip, write_in
from PIL import Image

from autolink_gen.common.limits import PIXELS_VARIABLE
from autolink_gen.data.images import ImageError
from autolink_gen.studio import uploads
from autolink_gen.studio.shelf import KeptFile
from autolink_gen.studio.uploads import data_url, facts_of, for_screen, naming, open_upload, picture_of, png_of


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_picture_comes_back_as_it_was_sent(picture: np.ndarray) -> None:
    assert (picture_of("a.png", _base64(png_of(picture))) == picture).all()


def test_a_picture_for_the_page_is_the_picture(picture: np.ndarray) -> None:
    head, content = data_url(picture).split(",")
    assert head == "data:image/png;base64"
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))) == picture).all()


@pytest.mark.parametrize("content", ["", _base64(b"just words"), "no base64 at all!", _base64(b"\x89PNG\r\n\x1a\n")])
def test_what_is_no_picture_is_named_in_one_line(content: str) -> None:
    with raises_mentioning(ImageError, "notes.png") as raised:
        picture_of("notes.png", content)
    assert "\n" not in str(raised.value)


def test_sound_is_called_neither_a_picture_nor_a_video_where_both_are_taken(tmp_path: Path) -> None:
    sound = _base64(write_click(tmp_path / "a.wav", at_s=0.1, length_s=0.2).read_bytes())
    with raises_mentioning(ValueError, "a.wav", "neither", "video"):
        picture_of("a.wav", sound, or_video=True)
    with raises_mentioning(ImageError, "a.png", "content"):
        picture_of("a.png", sound, or_video=True)
    with raises_mentioning(ImageError, "a.wav", "content"):
        picture_of("a.wav", sound)


def test_a_name_with_control_characters_is_shown_in_one_line() -> None:
    with pytest.raises(ImageError) as raised:
        picture_of("a\nb\x1b.png", "")
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    file = io.BytesIO()
    Image.new("1", (6000, 6000)).save(file, "PNG")
    with raises_mentioning(ImageError, "6000", uploads.MAX_UPLOAD_PIXELS) as raised:
        picture_of("large.png", _base64(file.getvalue()))
    assert PIXELS_VARIABLE not in str(raised.value), "it does not raise the limit of uploads"


def test_too_large_a_file_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_UPLOAD_BYTES", 2**20)
    with raises_mentioning(ImageError, "1 MiB"):
        picture_of("large.png", "A" * (2**21))


def test_a_large_picture_is_reduced_for_the_screen_in_its_shape() -> None:
    assert for_screen(np.zeros((1000, 4096, 3), np.uint8)).shape == (250, 1024, 3)


def _kept(path: Path) -> KeptFile:
    return KeptFile("token", path, f"my {path.name}")


def test_a_video_gives_its_frames_and_facts(tmp_path: Path) -> None:
    file = _kept(write_clip(tmp_path / "a.mp4", 10))
    facts = facts_of(file)
    assert (facts.width, facts.height, facts.num_frames, facts.is_image) == (WIDTH, HEIGHT, 10, False)
    assert facts.length_s == pytest.approx(0.4)
    assert len(list(open_upload(file))) == 10


def test_a_film_as_browsers_record_it_has_its_length(tmp_path: Path) -> None:
    file = _kept(write_in(tmp_path / "webcam.webm", "webm", "libvpx", count=10, sound="libopus", seekable=False))
    facts = facts_of(file)
    assert facts.length_s == pytest.approx(0.4, abs=0.05)
    assert facts.has_sound
    assert len(list(open_upload(file))) == 10


def test_a_picture_is_one_frame(tmp_path: Path, picture: np.ndarray) -> None:
    (tmp_path / "a.png").write_bytes(png_of(picture))
    facts = facts_of(_kept(tmp_path / "a.png"))
    assert (facts.width, facts.height, facts.num_frames, facts.is_image) == (64, 48, 1, True)
    assert facts.picture == data_url(picture)


def _words(path: Path) -> None:
    path.write_text("these are just words")


def _truncated(path: Path) -> None:
    path.write_bytes(write_clip(path.with_suffix(".mp4")).read_bytes()[:700])


def _sound(path: Path) -> None:
    write_click(path, at_s=0.1, length_s=0.3)


def _huge(path: Path) -> None:
    path.write_bytes(b"GIF89a" + (20_000).to_bytes(2, "little") * 2 + bytes(9))


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.png", "notes.txt", "file"])
@pytest.mark.parametrize("write", [_words, _truncated, _sound, _huge, Path.touch])
def test_what_is_no_video_is_named_in_one_line_without_its_place(
    tmp_path: Path, write: Callable[[Path], object], name: str
) -> None:
    file = _kept(tmp_path / name)
    write(file.path)
    with raises_mentioning(ValueError, file.name) as raised, naming(file):
        facts_of(file)
    assert "\n" not in str(raised.value)
    assert str(tmp_path) not in str(raised.value)


def test_a_long_video_is_refused_and_one_that_hides_its_length_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _kept(write_clip(tmp_path / "a.mp4", 50))
    monkeypatch.setattr(uploads, "MAX_VIDEO_S", 0.4)
    with raises_mentioning(ValueError, 2, 0):
        facts_of(file)
    monkeypatch.setattr(uploads, "MAX_VIDEO_S", 1.2)
    assert len(list(open_upload(file))) == 30


def test_a_video_of_too_large_frames_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _kept(write_clip(tmp_path / "a.mp4", 2))
    monkeypatch.setattr(uploads, "MAX_UPLOAD_PIXELS", HEIGHT * WIDTH - 1)
    with raises_mentioning(ValueError, HEIGHT, WIDTH):
        open_upload(file)
