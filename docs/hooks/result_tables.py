"""Tables of results, from the JSON files beside the pages."""

import json
from pathlib import Path
from typing import Any

from markdown_tables import table

RECORDED = ("date", "machine", "commit")


def result_table(folder: Path, argument: str) -> str:
    """The table of `FILE NAME`, with its caption, and when and on what it was measured."""
    file, name = argument.split()
    values: dict[str, Any] = json.loads((folder / file).read_text(encoding="utf-8"))[name]
    when = f"{values['date']}, {values['machine']}, commit {values['commit']}"
    return f"{table(values['columns'], values['rows'])}\n*{when}*\n"
