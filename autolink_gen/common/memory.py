"""Keep freed memory for the next step instead of returning it to the system."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of malloc.h
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees; does nothing without glibc.

    A network's step frees and asks again for the same large blocks. By default glibc returns each of them to the
    system, which must clear every page of it once more: up to a fifth of the time of a step on a CPU.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
