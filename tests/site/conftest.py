"""Modules of the site's hook are imported as mkdocs imports them: from their own folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "hooks"))
