"""Limits for untrusted images: bytes of a file, reads, pixels."""

from io import BytesIO
from typing import BinaryIO

from autolink_gen.common import limits

BYTES_A_PIXEL = 10  # of memory that decoding may take for each of the pixels allowed
MAX_PASSES = 12  # over all the pixels allowed, by the scans of a progressive JPEG; encoders make ten
OPENING_READS = 100_000
_OPENING_BYTES = 2**24
_DECODING_READS = 1_000_000  # a BMP with run lengths is decoded in Python, byte by byte
_LEAST_FILE_BYTES = 2**26


class TooManyPixelsError(ValueError):
    """An image whose decoding would take more memory than the limit on pixels allows."""


class BoundedFile:
    """A file that a decoder may read so often alone: each of its loops in Python reads what it goes through."""

    def __init__(self, handle: BinaryIO | BytesIO) -> None:
        self._handle = handle
        self.reads_left, self.bytes_left = OPENING_READS, _OPENING_BYTES
        self.seek, self.tell, self.close = handle.seek, handle.tell, handle.close

    def read(self, size: int = -1) -> bytes:
        """Read as a file does; ValueError where the reads or the bytes are used up."""
        content = self._handle.read(size)
        self.reads_left -= 1
        self.bytes_left -= len(content)
        if self.reads_left < 0 or self.bytes_left < 0:
            raise ValueError("it has too many parts, or too much beside its pixels")
        return content

    def allow_decoding(self, num_bytes: int) -> None:
        """Begin to count anew, for the pixels of a file of so many bytes."""
        self.reads_left, self.bytes_left = _DECODING_READS, 2 * num_bytes


def check_file_size(num_bytes: int, *, max_pixels: int) -> None:
    """TooManyPixelsError for a file that is larger than one of so many pixels has to be: 4 bytes for each."""
    if num_bytes > max(_LEAST_FILE_BYTES, 4 * max_pixels):
        raise TooManyPixelsError(
            f"{num_bytes:,} bytes are too many, the limit is 4 for each of {max_pixels:,} pixels"
            f"{_raised_by(max_pixels)}"
        )


def too_many(size: tuple[int, int], limit: int, *, note: str = "") -> TooManyPixelsError:
    """The error of an image of a size, given the limit on its pixels."""
    return TooManyPixelsError(
        f"{size[0]} x {size[1]} pixels are too many, the limit is {limit:,} in all{note}{_raised_by(limit)}"
    )


def _raised_by(limit: int) -> str:
    """How a user raises the limit; nothing where the caller has set a lower one than the user's."""
    return "" if limit < limits.max_pixels() else f" ({limits.PIXELS_VARIABLE} raises it)"
