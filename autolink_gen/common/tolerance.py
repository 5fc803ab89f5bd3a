"""Tolerance for a few bad files among many."""

from dataclasses import dataclass, field

MAX_BAD_SHARE = 0.05  # of images, or of clips, that may be unreadable
_NUM_NAMED = 5


def are_too_many(bad: int, total: int, *, share: float = MAX_BAD_SHARE) -> bool:
    """Whether more than a share is bad; a single bad one is always tolerated."""
    return bad > max(1, share * total)


@dataclass
class Tolerance:
    """Counts the bad items among `total`, and raises once they exceed a share.

    `what` names the items, as in "images in birds/". `remedy` says what helps; without it the message ends with the
    last error. `bad` is the number of bad items so far, `names` are the first five.
    """

    total: int
    share: float = MAX_BAD_SHARE
    what: str = "files"
    remedy: str = ""
    bad: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, name: str, error: Exception | str = "") -> None:
        """Count a bad item; ValueError with the first five names if that is one too many."""
        self.bad += 1
        if len(self.names) < _NUM_NAMED:
            self.names.append(name)
        self.check(error)

    def check(self, error: Exception | str = "") -> None:
        """ValueError if more than the share is bad; `error` is that of the last item."""
        if are_too_many(self.bad, self.total, share=self.share):
            cause = error if isinstance(error, Exception) else None
            raise ValueError(self.message(str(error))) from cause

    def message(self, last: str = "") -> str:
        """How many are bad, the first five by name, and the remedy."""
        names = ", ".join(self.names[:_NUM_NAMED]) + (", ..." if self.bad > _NUM_NAMED else "")
        end = self.remedy or f"the last: {last}"
        return f"{self.bad} of the {self.total} {self.what} cannot be read ({names}); {end}"
