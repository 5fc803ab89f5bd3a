"""Pictures on disk that tests of data sets read."""

from pathlib import Path

from PIL import Image


def save_picture(path: Path) -> None:
    """Write a black picture of 8 by 8 pixels, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)


# Prints the bytes of memory for each pixel that the second picture takes beyond the first.
MEASURE = """
import re, sys
from pathlib import Path
from autolink_gen.data.images import read_image
read_image(sys.argv[1])
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
image = read_image(sys.argv[2])
print((peak() - before) / (image.width * image.height))
"""
