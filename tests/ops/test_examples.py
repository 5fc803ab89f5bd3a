"""The examples in docstrings of ops give what they say."""

import doctest
import importlib
import pkgutil

import pytest

from autolink_gen import ops

_WITH_EXAMPLES = {"edges", "keypoints", "masking", "pixels", "ranges"}


@pytest.mark.parametrize("name", sorted(module.name for module in pkgutil.iter_modules(ops.__path__)))
def test_examples_of_a_module(name):
    found = doctest.testmod(importlib.import_module(f"autolink_gen.ops.{name}"))
    assert found.failed == 0
    assert found.attempted or name not in _WITH_EXAMPLES
