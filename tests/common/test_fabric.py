"""Importing Fabric: torchmetrics, which takes longer than torch, is asked for its version alone."""

import operator
import runpy
import sys

import lightning_fabric.utilities.imports as asked_on_import
import pytest
from lightning_utilities.core import imports

from autolink_gen.common.fabric import _versions_without_importing


def test_versions_are_compared_without_importing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
    monkeypatch.delitem(sys.modules, "torchmetrics")
    usual = imports.compare_version
    with _versions_without_importing():
        answers = [imports.compare_version("torchmetrics", operator.ge, version) for version in ("1.0.0", "9999")]
        others = [imports.compare_version(name, operator.ge, "1.0.0") for name in ("torch", "no_such_package")]
        runpy.run_path(str(asked_on_import.__file__))
    assert (answers, others) == ([True, False], [True, False])
    assert "torchmetrics" not in sys.modules and imports.compare_version is usual
