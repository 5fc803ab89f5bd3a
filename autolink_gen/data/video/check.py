"""Checks videos by decoding every frame."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autolink_gen.common.files import reason_of
from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.data.video.reader import VideoReader


@dataclass(frozen=True)
class VideoReport:
    """Counts of the undamaged and the damaged frames of a video.

    `problem` says why it cannot be used. `cut` says that it ends early, and that its beginning is used. Else both are
    empty.
    """

    path: Path
    num_frames: int = 0
    bad_frames: int = 0
    problem: str = ""
    cut: str = ""


def inspect_videos(paths: Sequence[Path], *, progress: Progress = no_progress) -> tuple[VideoReport, ...]:
    """Decode every frame of videos; one with more damaged frames than `VideoReader` allows cannot be used."""
    reports: list[VideoReport] = []
    readers: list[VideoReader] = []
    for path in progress(paths, len(paths), "opening videos"):
        try:
            readers.append(VideoReader(path, takes_cut=True))
        except (ValueError, OSError) as error:
            reports.append(VideoReport(path, problem=_words(path, error)))
    total = sum(reader.num_frames or 0 for reader in readers)
    for _ in progress(_decode_all(readers, reports), total, "reading videos"):
        pass
    return tuple(sorted(reports, key=lambda report: report.path))


def _decode_all(readers: Sequence[VideoReader], reports: list[VideoReport]) -> Iterator[None]:
    """Decode all frames, yielding once a frame for a progress bar; adds a report for each video."""
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
    """A one-line message that names the file."""
    return str(error) if isinstance(error, ValueError) else f"{path}: {reason_of(error)}"
