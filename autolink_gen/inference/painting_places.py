"""The output files of a GAN's images, grids and videos, checked before painting."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autolink_gen.common.files import check_free, fitting_name
from autolink_gen.data.video.outputs import MOVING_SUFFIXES

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass
class Places:
    """The files to write for named styles; each method checks that its files may be written."""

    out: Path
    names: list[str]
    overwrite: bool

    def image_files(self, poses: Sequence[str]) -> list[list[Path]]:
        """A file a style and pose, a list a style, and last the one of their grid."""
        folder, taken = self._folder(), {"grid"}
        files = [
            [folder / fitting_name(_distinct(f"{pose}-{name}", taken), ".png") for pose in poses] for name in self.names
        ]
        self._check_free(*(file for row in files for file in row), folder / "grid.png")
        return [*files, [folder / "grid.png"]]

    def grid_file(self) -> Path:
        """The one image."""
        return self._file("grid.png", IMAGE_SUFFIXES)

    def video_file(self, what: str) -> Path:
        """The one video."""
        return self._file(f"{what}.mp4", MOVING_SUFFIXES)

    def video_files(self, source: Path) -> list[Path]:
        """A video a style."""
        defaults = [fitting_name(f"{source.stem}-{name}", ".mp4") for name in self.names]
        if len(defaults) == 1:
            return [self._file(defaults[0], MOVING_SUFFIXES)]
        files = [self._folder() / name for name in defaults]
        self._check_free(*files)
        return files

    def _folder(self) -> Path:
        if self.out.suffix:
            raise ValueError(f"--out: {self.out} must be a folder: several files are written")
        return self.out

    def _file(self, name: str, endings: tuple[str, ...]) -> Path:
        file = self.out if self.out.suffix else self.out / name
        if file.suffix.lower() not in endings:
            raise ValueError(f"--out: {self.out} must end in {', '.join(endings)}")
        self._check_free(file)
        return file

    def _check_free(self, *files: Path) -> None:
        check_free(*files, overwrite=self.overwrite)


def _distinct(name: str, taken: set[str]) -> str:
    """The name, numbered if it is in `taken`, whatever its case; adds it to `taken`."""
    candidate, number = name, 1
    while candidate.lower() in taken:
        number += 1
        candidate = f"{name}-{number}"
    taken.add(candidate.lower())
    return candidate
