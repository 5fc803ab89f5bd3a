"""Errors that a user reads in several lines, of which no file's name can add one."""

from autolink_gen.common.text import printable


class LinesError(ValueError):
    """A user's mistake that takes several lines to tell, such as a tree of files; each is made printable by itself."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(map(printable, lines)))
