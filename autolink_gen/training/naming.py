"""Names of runs."""

import zlib

from autolink_gen.common.text import MOST_NAME_BYTES


def run_name(text: str, *, suffix: str = "") -> str:
    """A run's name from a text and a `suffix`: without characters unfit for folders, shortened if long."""
    plain = "".join("-" if character == "/" or ord(character) < 32 else character for character in text).rstrip(" .")
    plain = plain if plain.strip("-") else "data"
    most = MOST_NAME_BYTES - len(suffix.encode(errors="surrogateescape"))
    encoded = plain.encode(errors="surrogateescape")
    if len(encoded) > most:  # names that begin alike stay two
        mark = f"-{zlib.crc32(encoded):08x}"
        plain = encoded[: most - len(mark)].decode(errors="ignore").rstrip(" .") + mark
    return (plain + suffix).rstrip(" .")
