"""Small JSON files, read without more memory than they may take."""

import json
from pathlib import Path
from typing import Any


def read_small_json(file: Path, *, most_bytes: int) -> Any:
    """What a file holds; ValueError for one of more bytes, and whatever the parser raises for what is no JSON."""
    size = file.stat().st_size
    if size > most_bytes:
        raise ValueError(f"its {size} bytes are too many, {most_bytes} being allowed")
    return json.loads(file.read_text(encoding="utf-8"))
