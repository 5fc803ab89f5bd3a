"""Packages that only some installations have, and what to type where one is missing."""

from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtraError(ValueError):
    """A package of one of our extras is not installed; the message says what needs it and how to install it."""


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Import what belongs to an extra in this block; MissingExtraError, with pip's command, where it is missing.

    `what` begins the message: "SSIM".
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs a package that is not installed ({error}): pip install 'autolink-gen[{extra}]'"
        ) from error
