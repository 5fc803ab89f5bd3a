"""Videos of the embedded puppets, to try commands with."""

from pathlib import Path

from autolink_gen.common.files import check_free
from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.data.video.clips import PUPPET_FRAMES, PuppetClip
from autolink_gen.data.video.writer import VideoWriter

_FPS = 25


def write_puppet_videos(
    target: Path, *, count: int, size: int, overwrite: bool = False, progress: Progress = no_progress
) -> int:
    """Write MP4 videos, `size` pixels wide and high, of puppets that training does not see; their number of frames.

    Raises ValueError where a file is there and `overwrite` is off.
    """
    files = [target / f"puppet-{index}.mp4" for index in range(count)]
    check_free(*files, overwrite=overwrite, option="OUT")
    target.mkdir(parents=True, exist_ok=True)
    for index, file in enumerate(progress(files, count, "videos")):
        clip = PuppetClip(index, seed=0, size=size, split="test")
        with VideoWriter(file, fps=_FPS) as writer:
            for _, pixels in clip.read(range(PUPPET_FRAMES), min_side=size):
                writer.write(pixels)
    return PUPPET_FRAMES
