import struct

import pytest

from autolink_gen.common.files import BadFileError, expand_user, reading


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (struct.error("unpack requires 4 bytes"), "unpack requires 4 bytes"),
        (AssertionError(), "AssertionError"),
        (IndexError("first\nsecond"), "IndexError: first"),
        (OverflowError("too\x1b large"), r"too\x1b large"),
        (RecursionError("maximum"), "nested too deeply"),
        (MemoryError(), "more memory"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (KeyError("x" * 9999), "..."),
    ],
)
def test_whatever_a_parser_raises_becomes_one_line(error: Exception, reason: str) -> None:
    with pytest.raises(BadFileError) as caught, reading("a\x1b.yaml", "recipe", remedy="write it anew"):
        raise error
    text = str(caught.value)
    assert reason in text
    assert text.startswith(r"a\x1b.yaml") and text.endswith("write it anew")
    assert "\n" not in text and len(text) < 400


def test_what_is_in_words_already_and_what_the_user_does_pass() -> None:
    for error in (BadFileError("in words"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, reading("a", "b", remedy="c"):
            raise error
        assert caught.value is error


def test_the_home_of_nobody_is_one_line() -> None:
    with pytest.raises(ValueError, match="in full"):
        expand_user("~nobody-of-this-name/data")
    assert str(expand_user("pictures/~")) == "pictures/~"
