"""A configuration as YAML with a comment that describes each setting."""

import textwrap
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import yaml

from autolink_gen.config.settings import describe_fields
from autolink_gen.config.writing import to_dict

_WIDTH = 120


class _Dumper(yaml.SafeDumper):
    """Lists in brackets, so that a setting takes one line and a comment fits behind it."""

    def represent_list(self, data: Any) -> yaml.SequenceNode:
        """A list on one line."""
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)


_Dumper.add_representer(list, _Dumper.represent_list)


def explained_yaml(config: Any) -> str:
    """A configuration as YAML with each setting's description behind it, or above it where a line is too short."""
    return "\n".join(_lines(config, to_dict(config), indent="")) + "\n"


def _lines(config: Any, values: dict[str, Any], *, indent: str) -> Iterator[str]:
    for name, info in describe_fields(type(config)).items():
        value = getattr(config, name)
        if is_dataclass(value):
            yield from _explain([f"{indent}{name}:"], _title(type(value)), indent=indent)
            yield from _lines(value, values[name], indent=f"{indent}  ")
        else:
            text = yaml.dump({name: values[name]}, Dumper=_Dumper, width=float("inf"), default_flow_style=False)
            yield from _explain(textwrap.indent(text, indent).splitlines(), info.description or "", indent=indent)


def _explain(lines: list[str], description: str, *, indent: str) -> Iterator[str]:
    """A setting's lines with its description; a line of text over several lines is none to write behind."""
    behind = f"{lines[0]}  # {description}"
    if len(lines) == 1 and len(behind) <= _WIDTH:
        yield behind
        return
    yield from textwrap.wrap(description, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
    yield from lines


def _title(kind: type[Any]) -> str:
    """The first sentence of a group's docstring."""
    return (kind.__doc__ or "").partition("\n")[0]
