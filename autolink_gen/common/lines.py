"""Errors of several lines, safe from newlines in file names."""

from autolink_gen.common.text import printable


class LinesError(ValueError):
    """A user error that takes several lines, such as a tree of files."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(map(printable, lines)))
