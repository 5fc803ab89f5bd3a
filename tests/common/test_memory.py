"""Freed memory stays with the process: large blocks are not cleared page by page each time they are asked for."""

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource
{before}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    blocks = [b'x' * number for number in (3 * 2**24, 3 * 2**24 + 1)]
for _ in range(10):
    use()
started = faults()
for _ in range(10):
    use()
print(faults() - started)
"""


def page_faults(before: str) -> int:
    """How many pages the system had to hand out for ten rounds of two blocks of 48 MiB.

    Blocks over 32 MiB always come from the system and go back to it unless glibc is told otherwise; what it does
    with smaller ones depends on what was freed before them.
    """
    command = [sys.executable, "-c", COUNT.format(before=before)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_blocks_are_not_asked_for_again():
    kept = page_faults("from autolink_gen.common.memory import keep_freed_memory; keep_freed_memory()")
    # A ratio, as the size of a page is the system's; and not none, as the heap may still grow by a block or two.
    assert kept < page_faults("") / 4
