"""Retries of requests: which answers to retry, and the pauses between."""

import email.utils
import time

TRIES = 5
QUICK_TRIES = 3  # where no server answers at all: most often there is no network, or the name is misspelt
PAUSES_S = (1.0, 2.0, 4.0, 8.0)
MAX_PAUSE_S = 60.0  # however long a server asks for
_BUSY = frozenset((408, 425, 429))


def is_passing(status: int) -> bool:
    """Whether a status is temporary: too many requests, or a fault of the server."""
    return status in _BUSY or 500 <= status < 600


def retry_after_s(retry_after: str | None) -> float:
    """The seconds to wait by a Retry-After header, a number or a date; 0 without one."""
    text = (retry_after or "").strip()[:100]
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, IndexError, OverflowError):  # what the parser raises over dates that are none
        return 0.0


def pause_s(num_tries: int, requested_s: float) -> float:
    """The pause after ``num_tries``: growing, or as long as the server requests, within bounds."""
    return min(MAX_PAUSE_S, max(requested_s, PAUSES_S[min(num_tries, len(PAUSES_S)) - 1]))
