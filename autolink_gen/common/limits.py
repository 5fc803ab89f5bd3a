"""What a stranger's file may ask of the machine, and the variables of the environment that raise it."""

import os

_PIXELS, PIXELS_VARIABLE = 64_000_000, "AUTOLINK_GEN_MAX_PIXELS"
_DOWNLOAD_BYTES, DOWNLOAD_VARIABLE = 16 * 2**30, "AUTOLINK_GEN_MAX_DOWNLOAD"


def max_pixels() -> int:
    """How many pixels a picture or a frame of a video may have: decoding takes some ten bytes for each."""
    return _limit(PIXELS_VARIABLE, _PIXELS)


def max_download_bytes() -> int:
    """How large a file may be that is fetched from an address of the user's."""
    return _limit(DOWNLOAD_VARIABLE, _DOWNLOAD_BYTES)


def _limit(variable: str, usual: int) -> int:
    """The environment's number, or the usual one; ValueError for what is no positive number."""
    text = os.environ.get(variable, "")
    if not text:
        return usual
    if not text.isdecimal() or not int(text):
        raise ValueError(f"{variable} is {text!r}; it must be a whole number above 0, or be left unset")
    return int(text)
