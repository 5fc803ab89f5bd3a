"""Videos and animated images to write, chosen by the ending of the file's name."""

from pathlib import Path

from autolink_gen.data.video.animated_writer import AnimatedImageWriter
from autolink_gen.data.video.reader import Rate
from autolink_gen.data.video.writer import WRITABLE_SUFFIXES, VideoWriter

MOVING_SUFFIXES = (*WRITABLE_SUFFIXES, ".webp")


def open_writer(
    path: str | Path,
    *,
    fps: Rate,
    copy_audio_from: str | Path | None = None,
    audio_start_s: float = 0.0,
    expected_frames: int = 0,
) -> VideoWriter | AnimatedImageWriter:
    """The writer of a moving image: `AnimatedImageWriter` for .webp, which is silent as a GIF is; else `VideoWriter`.

    `expected_frames` is how many will come, as far as it is known; 0 where it is not. Raises ValueError for an ending
    that is not in `MOVING_SUFFIXES`.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in MOVING_SUFFIXES:
        raise ValueError(f"cannot write {path}: the name must end in {', '.join(MOVING_SUFFIXES)}")
    if ending == ".webp":
        return AnimatedImageWriter(path, fps=fps, expected_frames=expected_frames)
    return VideoWriter(path, fps=fps, copy_audio_from=copy_audio_from, audio_start_s=audio_start_s)
