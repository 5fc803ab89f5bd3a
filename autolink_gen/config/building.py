"""Configurations from the nested values of recipes, files and options."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from autolink_gen.common.text import shown
from autolink_gen.config.problems import problems_of

Config = TypeVar("Config")


def build(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """A configuration from nested plain values; raises ValueError that names each wrong field."""
    try:
        return TypeAdapter(kind).validate_python(dict(values), strict=False)
    except ValidationError as error:
        raise ValueError(problems_of(error, kind)) from None
    except (OverflowError, RecursionError, TypeError) as error:  # of numbers and nests that no setting has
        raise ValueError(f"the settings hold a value that none can have: {shown(str(error))}") from None
