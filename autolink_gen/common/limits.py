"""Limits on what untrusted files may use, and the variables that raise them."""

import os

_PIXELS, PIXELS_VARIABLE = 64_000_000, "AUTOLINK_GEN_MAX_PIXELS"
_DOWNLOAD_BYTES, DOWNLOAD_VARIABLE = 16 * 2**30, "AUTOLINK_GEN_MAX_DOWNLOAD"


def max_pixels() -> int:
    """The most pixels of an image or a video frame; decoding takes ten bytes each."""
    return _limit(PIXELS_VARIABLE, _PIXELS)


def max_download_bytes() -> int:
    """The largest download from a user's address, in bytes."""
    return _limit(DOWNLOAD_VARIABLE, _DOWNLOAD_BYTES)


def _limit(variable: str, usual: int) -> int:
    """A limit from the environment or the default; ValueError unless positive."""
    text = os.environ.get(variable, "")
    if not text:
        return usual
    if not text.isdecimal() or not int(text):
        raise ValueError(f"{variable} is {text!r}; it must be a whole number above 0, or be left unset")
    return int(text)
