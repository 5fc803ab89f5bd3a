"""Optional packages, and the pip command for a missing one."""

from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtraError(ValueError):
    """An optional package is missing; the message says what needs it and how to install it."""


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Import an extra's packages in this block; MissingExtraError if one is missing.

    The message begins with `what`, such as "SSIM", and gives pip's command.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs a package that is not installed ({error}): pip install 'autolink-gen[{extra}]'"
        ) from error
