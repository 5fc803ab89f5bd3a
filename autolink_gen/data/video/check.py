"""Videos decoded from beginning to end, and what is wrong with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autolink_gen.common.files import reason_of
from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.data.video.reader import VideoReader


@dataclass(frozen=True)
class VideoReport:
    """What a video holds: its undamaged frames and the damaged ones.

    `problem` says why it cannot be used, `cut` that it ends early, where its beginning is used; else they are empty.
    """

    path: Path
    num_frames: int = 0
    bad_frames: int = 0
    problem: str = ""
    cut: str = ""


def inspect_videos(paths: Sequence[Path], *, progress: Progress = no_progress) -> tuple[VideoReport, ...]:
    """Decode every frame of videos. A video with more damaged frames than `VideoReader` passes over cannot be used."""
    reports: list[VideoReport] = []
    readers: list[VideoReader] = []
    for path in progress(paths, len(paths), "opening videos"):
        try:
            readers.append(VideoReader(path, takes_cut=True))
        except (ValueError, OSError) as error:
            reports.append(VideoReport(path, problem=_words(path, error)))
    total = sum(reader.num_frames or 0 for reader in readers)
    for _ in progress(_decoded(readers, reports), total, "reading videos"):
        pass
    return tuple(sorted(reports, key=lambda report: report.path))


def _decoded(readers: Sequence[VideoReader], reports: list[VideoReport]) -> Iterator[None]:
    """Each frame as it is decoded, so that a bar may follow long films; adds the report of each video."""
    for reader in readers:
        good, problem, cut = 0, "", ""
        try:
            for _ in reader:
                good += 1
                yield
            cut = reader.ends_early
        except (ValueError, OSError) as error:
            problem = _words(reader.path, error)
        reports.append(VideoReport(reader.path, good, reader.bad_frames, problem, cut))


def _words(path: Path, error: Exception) -> str:
    """What is wrong, in a line that names the file."""
    return str(error) if isinstance(error, ValueError) else f"{path}: {reason_of(error)}"
