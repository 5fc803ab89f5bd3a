"""Packages hidden from imports, as if they were not installed."""

import sys

import pytest


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Let imports of packages, and of modules in them, fail; what was imported already stays with whoever has it."""
    for name in packages:
        monkeypatch.setitem(sys.modules, name, None)
    for name in list(sys.modules):
        if name.startswith(tuple(f"{package}." for package in packages)):
            monkeypatch.setitem(sys.modules, name, None)
