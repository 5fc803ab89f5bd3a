import base64
import io

import numpy as np
import pytest
from helpers.messages import raises_mentioning
from PIL import Image

from autolink_gen.data.images import ImageError
from autolink_gen.studio import uploads
from autolink_gen.studio.uploads import data_url, for_screen, picture_of, png_of


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


def test_a_name_with_control_characters_is_shown_in_one_line() -> None:
    with pytest.raises(ImageError) as raised:
        picture_of("a\nb\x1b.png", "")
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    file = io.BytesIO()
    Image.new("1", (6000, 6000)).save(file, "PNG")
    with raises_mentioning(ImageError, "6000", uploads.MAX_UPLOAD_PIXELS):
        picture_of("large.png", _base64(file.getvalue()))


def test_too_large_a_file_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_UPLOAD_BYTES", 2**20)
    with raises_mentioning(ImageError, "1 MiB"):
        picture_of("large.png", "A" * (2**21))


def test_a_large_picture_is_reduced_for_the_screen_in_its_shape() -> None:
    assert for_screen(np.zeros((1000, 4096, 3), np.uint8)).shape == (250, 1024, 3)
