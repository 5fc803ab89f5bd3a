"""The inputs of `autolink-gen detect` for its tests, the command itself, and what it wrote."""

import csv
import wave
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result
from PIL import Image

from autolink_gen.cli.main import cli
from autolink_gen.data.video.writer import VideoWriter


def save_picture(path: Path, *, size: tuple[int, int] = (80, 60)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(len(path.name))
    Image.fromarray(draw.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)).save(path)
    return path


def save_film(path: Path, *, num_frames: int = 20, fps: int = 10) -> Path:
    """A film with a tone, of which the first frame differs from the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = path.with_suffix(".wav")
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes((9000 * np.sin(np.arange(num_frames * 16_000 // fps) / 9)).astype(np.int16).tobytes())
    draw = np.random.default_rng(0)
    with VideoWriter(path, fps=fps, copy_audio_from=sound) as writer:
        for _ in range(num_frames):
            writer.write(draw.integers(0, 256, (64, 96, 3)).astype(np.uint8))
    sound.unlink()
    return path


def run_detect(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["detect", *map(str, arguments)])


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "keypoints.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
