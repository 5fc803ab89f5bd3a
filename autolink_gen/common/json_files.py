"""Small JSON files, read with a bound on their size."""

import json
from pathlib import Path
from typing import Any


def read_small_json(file: Path, *, most_bytes: int) -> Any:
    """The parsed file; ValueError for too many bytes, the parser's error for other content."""
    size = file.stat().st_size
    if size > most_bytes:
        raise ValueError(f"its {size} bytes are too many, {most_bytes} being allowed")
    return json.loads(file.read_text(encoding="utf-8"))
