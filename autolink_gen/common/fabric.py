"""Lightning Fabric, imported without torchmetrics, of which it wants to know no more than the version."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from lightning_utilities.core import imports
from packaging.version import Version

__all__ = ["Fabric"]

_UNASKED = "torchmetrics"


@contextmanager
def _versions_without_importing() -> Iterator[None]:
    """Let Fabric read torchmetrics' version where it is installed: importing it takes longer than importing torch.

    It imports torchvision, scipy and torch's compiler. Where Lightning asks in another way, nothing changes.
    """
    plain: Callable[..., bool] | None = getattr(imports, "compare_version", None)
    if plain is None or _UNASKED in sys.modules:
        yield
        return

    def compare(package: str, relation: Callable[[Any, Any], bool], version: str, *rest: Any, **options: Any) -> bool:
        if package != _UNASKED:
            return plain(package, relation, version, *rest, **options)
        try:
            return relation(Version(metadata.version(package)), Version(version))
        except metadata.PackageNotFoundError:
            return False

    instead: Any = compare  # whatever signature Lightning's own has
    imports.compare_version = instead
    try:
        yield
    finally:
        imports.compare_version = plain


with _versions_without_importing():
    from lightning_fabric import Fabric
