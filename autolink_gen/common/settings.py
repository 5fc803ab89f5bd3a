"""Building blocks for dataclasses of settings: strictness, readable errors, and rules."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ConfigDict, ValidationError

from autolink_gen.common.setting_problems import problems_of

Group = TypeVar("Group")
# For pydantic's dataclasses: no unknown settings, and neither NaN nor infinity unless a field allows them.
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


def readable_errors(group: type[Group]) -> type[Group]:
    """Let a pydantic dataclass raise a ValueError of one line, as `build` does."""
    construct = group.__init__

    @functools.wraps(construct)
    def constructor(self: Any, *args: Any, **values: Any) -> None:
        try:
            construct(self, *args, **values)
        except ValidationError as error:
            raise ValueError(problems_of(error, group)) from None

    group.__init__ = constructor  # type: ignore[method-assign]
    return group


@dataclass(frozen=True)
class Rule:
    """A condition on a value, in words and as a function, for pydantic's `AfterValidator`.

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
