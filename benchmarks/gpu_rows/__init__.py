"""What ``gpu.py`` measures, a section a module; on a machine without the package, the one in this checkout is taken."""

import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if find_spec("autolink_gen") is None:
    sys.path.insert(0, str(ROOT))
if find_spec("autolink_gen.configs") is None:  # cli/ and configs/ become parts of the package when it is installed
    import autolink_gen

    autolink_gen.__path__.append(str(ROOT))
