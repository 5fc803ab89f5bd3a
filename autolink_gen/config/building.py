"""Configurations from the nested values of recipes, files and options."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from autolink_gen.common.setting_problems import problems_of
from autolink_gen.common.text import shown
from autolink_gen.config.settings import RUN_CONFIGS
from autolink_gen.recipes import current_keys

Config = TypeVar("Config")


def build(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """A configuration from nested plain values; raises ValueError that names each wrong field.

    Groups of settings may have their names of old.
    """
    name = next((name for name, config in RUN_CONFIGS.items() if config is kind), None)
    try:
        plain = current_keys(name, values) if name else dict(values)
        return TypeAdapter(kind).validate_python(plain, strict=False)
    except ValidationError as error:
        raise ValueError(problems_of(error, kind)) from None
    except (OverflowError, RecursionError, TypeError) as error:  # of numbers and nests that no setting has
        raise ValueError(f"the settings hold a value that none can have: {shown(str(error))}") from None
