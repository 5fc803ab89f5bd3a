"""The modules of the fuzz program and the drawn sets of the tests of data, imported by their names."""

import os
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(folder) for folder in (_HERE, _HERE.parent) if str(folder) not in sys.path]
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]  # which tells what a process takes
# The program holds readers to two seconds; beside other tests, with signatures checked, a machine may be half as fast.
os.environ.setdefault("AUTOLINK_GEN_FUZZ_SECONDS", "6")
