"""What the command line calls is found where it is said to be."""

import ast
import importlib
from pathlib import Path

import pytest

from autolink_gen import verbs


def _imports() -> dict[str, str]:
    """The names that type checkers see in the module, and where each comes from."""
    tree = ast.parse(Path(verbs.__file__).read_text(encoding="utf-8"))
    (checked,) = [node for node in tree.body if isinstance(node, ast.If)]
    return {name.name: str(node.module) for node in checked.body for name in node.names}  # type: ignore[attr-defined]


def test_type_checkers_and_programs_find_the_same() -> None:
    table = {name: f"autolink_gen.{module}" for name, module in verbs._MODULES.items()}
    assert table == _imports()


@pytest.mark.parametrize("name", sorted(verbs._MODULES))
def test_a_verb_is_that_of_its_module(name: str) -> None:
    module = importlib.import_module(f"autolink_gen.{verbs._MODULES[name]}")
    assert getattr(verbs, name) is getattr(module, name)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="learn_grpah"):
        verbs.learn_grpah  # noqa: B018
