"""Configurations as plain values and as YAML."""

from dataclasses import is_dataclass
from pathlib import PurePath
from typing import Any

import yaml

from autolink_gen.data.identity import public_data


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as nested plain values, ready for YAML and JSON; addresses in it without what opens them."""
    return {name: _plain(getattr(config, name)) for name in config.__dataclass_fields__}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_dict(value)
    if isinstance(value, PurePath):
        return str(value)
    return public_data(value) if isinstance(value, str) else list(value) if isinstance(value, tuple) else value


def to_yaml(config: Any) -> str:
    """A configuration as YAML, in the order of its fields."""
    return yaml.safe_dump(to_dict(config), sort_keys=False)
