"""What runs are called: names made of the data that they are trained on."""

import zlib

from autolink_gen.common.text import MOST_NAME_BYTES
from autolink_gen.data.identity import public_data
from autolink_gen.data.shards.names import absolute_name, shards_label
from autolink_gen.data.source import has_shards, own_path, parts_of

_GENERIC = ("train", "test", "val", "images", "img")


def run_name(text: str, *, suffix: str = "") -> str:
    """A text as the name of a run, ``suffix`` behind it: without what no folder should have, cut where it is long."""
    plain = "".join("-" if one == "/" or ord(one) < 32 else one for one in text).rstrip(" .")
    plain = plain if plain.strip("-") else "data"
    most = MOST_NAME_BYTES - len(suffix.encode(errors="surrogateescape"))
    encoded = plain.encode(errors="surrogateescape")
    if len(encoded) > most:  # names that begin alike stay two
        mark = f"-{zlib.crc32(encoded):08x}"
        plain = encoded[: most - len(mark)].decode(errors="ignore").rstrip(" .") + mark
    return (plain + suffix).rstrip(" .")


def data_label(data: str) -> str:
    """What a run on these data is called: the set's name or the folder's, with its parent's where that says little."""
    data = public_data(data)
    if len(several := parts_of(data)) > 1:
        return "+".join(data_label(str(part)) for part in several)
    own = own_path(data)
    if own is not None and own.is_dir():
        parts = own.resolve().parts
    else:
        parts = ("", *shards_label(data)) if has_shards(data) else (data.replace("/", "-"),)
    return "-".join(parts[-2:]) if parts[-1] in _GENERIC and len(parts) > 2 else parts[-1]


def whole_path(data: str) -> str:
    """Folders and shards as paths that hold wherever a later command is typed; names of data sets as they are."""
    own = [(str(part), own_path(part)) for part in parts_of(data)]
    whole = [absolute_name(name) if has_shards(name) or (path and path.is_dir()) else name for name, path in own]
    return "+".join(whole)
