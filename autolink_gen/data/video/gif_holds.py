"""The hold of a GIF's last frame, which FFmpeg cannot set, and whether a GIF is animated."""

from pathlib import Path
from typing import BinaryIO

_EXTENSION, _IMAGE, _CONTROL = b"!", b",", b"\xf9"
_HAS_TABLE, _TABLE_SIZE = 0x80, 0x07
_MAX_TICKS = 0xFFFF


def hold_last_frame(path: Path, *, ticks: int) -> None:
    """Set the delay of the last frame of a GIF, in hundredths of a second."""
    with path.open("r+b") as file:
        place, _ = _walk(file)
        if place is not None:
            file.seek(place)
            file.write(min(ticks, _MAX_TICKS).to_bytes(2, "little"))


def has_several_frames(path: Path) -> bool:
    """Whether a GIF is animated."""
    with path.open("rb") as file:
        return _walk(file, stop_after=2)[1] > 1


def _walk(file: BinaryIO, *, stop_after: int | None = None) -> tuple[int | None, int]:
    """The offset of the last frame's delay, None where it has none; and the number of frames."""
    place, count = None, 0
    screen = file.read(13)
    if len(screen) < 13:
        return place, count
    _skip_table(file, screen[10])
    while count != stop_after and (kind := file.read(1)) in (_EXTENSION, _IMAGE):
        if kind == _IMAGE:
            count += 1
            _skip_table(file, (file.read(9)[8:] or b"\0")[0])
            file.read(1)
        elif file.read(1) == _CONTROL:
            place = file.tell() + 2
        _skip_blocks(file)
    return place, count


def _skip_table(file: BinaryIO, flags: int) -> None:
    """Skip the colour table that `flags` announce."""
    if flags & _HAS_TABLE:
        file.seek(3 << ((flags & _TABLE_SIZE) + 1), 1)


def _skip_blocks(file: BinaryIO) -> None:
    while length := file.read(1):
        if length == b"\0":
            return
        file.seek(length[0], 1)
