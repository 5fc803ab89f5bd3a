"""Building blocks for dataclasses of settings: how strict they are, and rules that a plain bound cannot state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict

# For pydantic's dataclasses: no unknown settings, and neither NaN nor infinity where a field does not allow it.
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Rule:
    """A condition on a value, in words and as a function; pydantic's `AfterValidator` takes it.

    >>> Rule("0, or 2 or more", lambda value: value != 1)(1)
    Traceback (most recent call last):
        ...
    ValueError: must be 0, or 2 or more
    """

    bounds: str
    holds: Callable[[Any], bool]

    def __call__(self, value: Any) -> Any:
        """The value; ValueError where the condition does not hold."""
        if not self.holds(value):
            raise ValueError(f"must be {self.bounds}")
        return value


def one_of(*values: int) -> Rule:
    """The rule that a number is one of a few."""
    return Rule(f"one of {', '.join(map(str, values))}", lambda value: value in values)
