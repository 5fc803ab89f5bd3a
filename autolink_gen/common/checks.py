"""Checks of the values that users give."""

from autolink_gen.common.text import shown


def require(condition: bool, name: str, rule: str, value: object) -> None:
    """ValueError, which names the setting and its value, unless the condition holds."""
    if not condition:
        raise ValueError(f"{name} must be {rule}, got {shown(value)}")
