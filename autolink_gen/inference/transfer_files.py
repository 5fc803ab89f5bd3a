"""Animate one person's video with another's, from files to a file."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autolink_gen.common.devices import chosen_device
from autolink_gen.common.files import check_free
from autolink_gen.common.progress import Progress, no_progress, progress_bar
from autolink_gen.common.text import counted
from autolink_gen.data.video.outputs import MOVING_SUFFIXES
from autolink_gen.data.video.stream import FrameStream
from autolink_gen.data.video.writer import FrameFolderWriter
from autolink_gen.inference.planning import Motion
from autolink_gen.inference.smoothing import Smoothing
from autolink_gen.inference.transfer import Transfer, load_transfer
from autolink_gen.inference.transfer_video import Look, TransferReport, transfer_video
from autolink_gen.runs import RunFolder

Audio = Literal["driver", "source", "none"]
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class TransferFiles:
    """Source, driver and result, opened and checked before a network is loaded.

    ``audio`` is the stream whose audio is kept, None: neither's. ``overwrite`` lets the result replace a file.
    """

    source: FrameStream
    driver: FrameStream
    out: Path
    audio: FrameStream | None

    @classmethod
    def open(
        cls,
        source: str | Path,
        driver: str | Path,
        *,
        out: str | Path | None = None,
        audio: Audio = "driver",
        cut_s: tuple[float, float | None] = (0.0, None),
        fps: float | None = None,
        max_bad: float = 0.2,
        overwrite: bool = False,
    ) -> "TransferFiles":
        """Open the files; ``cut_s`` are the start and end of the driver in seconds.

        Raises ValueError as `transfer_files` does.
        """
        start_s, end_s = cut_s
        source_stream = FrameStream(Path(source))
        end = math.inf if end_s is None else end_s
        driver_stream = FrameStream(Path(driver), start_s=start_s, end_s=end, fps=fps, max_bad_share=max_bad)
        file = _result(None if out is None else Path(out), source_stream, driver_stream, overwrite=overwrite)
        return cls.of(source_stream, driver_stream, out=file, audio=audio)

    @classmethod
    def of(cls, source: FrameStream, driver: FrameStream, *, out: Path, audio: Audio = "driver") -> "TransferFiles":
        """Of streams that are open already, and a result that may be written."""
        return cls(source, driver, out, {"driver": driver, "source": source, "none": None}[audio])

    @property
    def lacks_audio(self) -> bool:
        """Whether the source's audio was requested and does not exist."""
        return self.audio is self.source and not self.source.has_audio

    def motion(self, relative: bool | None, *, adapt_scale: bool, smooth: Smoothing | None) -> Motion:
        """How the driver moves the source.

        ``relative`` None: relative for a video; an image's pose is taken as it is, scaled to the source.
        """
        is_image = self.driver.is_image
        moves = not is_image if relative is None else relative
        return Motion(moves, adapt_scale or (is_image and relative is None), smooth)

    def animate(
        self,
        network: Transfer,
        motion: Motion,
        *,
        look: Look,
        find_best_frame: bool = False,
        source_frames: int = 8,
        batch_size: int | None = None,
        progress: Progress = no_progress,
    ) -> TransferReport:
        """Write the result; raises ValueError if no pose can be made out in the driver."""
        audio = self.audio
        return transfer_video(
            network,
            self.source,
            self.driver,
            self.out,
            motion=motion,
            look=look,
            find_best_frame=find_best_frame,
            source_frames=source_frames,
            audio=audio.path if audio is not None and audio.has_audio else None,
            audio_start_s=self.driver.start_s if audio is self.driver else 0.0,
            batch_size=batch_size,
            progress=progress,
        )

    def remarks(self, report: TransferReport, *, is_cut: bool = False) -> list[str]:
        """Lines on what a user may not expect: no audio, another start, frames that are missing or could not be used.

        They say nothing of why a result ends early (`TransferReport.stopped`), nor, where it ``is_cut`` because its
        ``progress`` ended early, of a driver that does.
        """
        lines = [f"{self.source.path} has no audio: the result is silent"] if self.lacks_audio else []
        return lines + _start(report) + _missing(report, driver=self.driver, is_cut=is_cut)


def transfer_files(
    network: Transfer | str | os.PathLike[str],
    source: str | Path,
    driver: str | Path,
    *,
    out: str | Path | None = None,
    audio: Audio = "driver",
    relative: bool | None = None,
    adapt_scale: bool = False,
    find_best_frame: bool = False,
    smooth: Smoothing | str | bool | None = None,
    crop: bool = True,
    paste_back: bool = False,
    side_by_side: bool = False,
    source_frames: int = 8,
    start_s: float = 0.0,
    end_s: float | None = None,
    fps: float | None = None,
    size: int | None = None,
    device: str | None = None,
    overwrite: bool = False,
    batch_size: int | None = None,
    max_bad: float = 0.2,
    progress: Progress = progress_bar,
) -> TransferReport:
    """Make what ``source`` shows do what ``driver`` does, and write that to ``out``.

    ``network`` is loaded, or a run by name, folder or file, which goes to the ``device``: CUDA if there is one.
    ``source`` is an image or a video, ``driver`` a video, an image or a folder of frames. ``out`` ends in .mp4, .mov,
    .webm, .gif or .webp; without an ending it is a folder of PNG; for a driver that is an image it ends in .png or
    .jpg; None: SOURCE-DRIVER.mp4. ``relative`` adds the driver's movement to the source's pose; None: but for a driver
    that is an image. Of a source video, ``source_frames`` frames give the appearance. ``start_s`` and ``end_s`` are
    seconds into the driver. ``size`` is the width in pixels.

    ``smooth`` is "one-euro", which True means too, "median" or "median:9", over so many frames; None smooths nothing.

    Raises ValueError for a result that is there already without ``overwrite``, that has another ending or would replace
    an input, and if no pose can be made out in the driver. The report says what was made.
    """
    cut, smoothing = (start_s, end_s), Smoothing.parse(smooth)
    files = TransferFiles.open(
        source, driver, out=out, audio=audio, cut_s=cut, fps=fps, max_bad=max_bad, overwrite=overwrite
    )
    if not isinstance(network, Transfer):
        network = load_transfer(RunFolder.find(network, kind="transfer"), device=chosen_device(device))
    return files.animate(
        network,
        files.motion(relative, adapt_scale=adapt_scale, smooth=smoothing),
        look=Look(crop, paste_back, side_by_side, size),
        find_best_frame=find_best_frame,
        source_frames=source_frames,
        batch_size=batch_size,
        progress=progress,
    )


def _start(report: TransferReport) -> list[str]:
    """A line on the frame that movement is relative to, unless it is the first."""
    if not report.reference_frame:
        return []
    where = f"starts from the driver's frame {report.reference_frame} (at {report.reference_s:.2f} s)"
    if report.is_best_frame:
        return [f"{where}, the most like the source"]
    return [f"{where}, the first with a clear pose; --find-best-frame starts from the one most like the source"]


def _missing(report: TransferReport, *, driver: FrameStream, is_cut: bool) -> list[str]:
    """Lines on frames that could not be used, or are missing."""
    lines = []
    if report.source_missing:
        number = counted(report.source_missing, "frame")
        lines.append(f"the source ends early or is damaged: {number} to take the appearance from cannot be read")
    if driver.ends_early and not (report.stopped or is_cut):
        seconds = f"{driver.ends_s:.1f} of {driver.length_s:.1f} seconds"
        lines.append(f"the driver ends early: {seconds} came; is it whole?")
    if report.bad_frames:
        lines.append(f"{counted(report.bad_frames, 'frame')} damaged: left out, the one before is shown until the next")
    if report.held_frames:
        number = counted(report.held_frames, "frame")
        lines.append(f"{number} without a pose that can be made out: the last clear one was held")
    return lines


def _result(out: Path | None, source: FrameStream, driver: FrameStream, *, overwrite: bool) -> Path:
    """The output file or folder; ValueError if it cannot be written."""
    endings = _IMAGE_SUFFIXES if driver.is_image else MOVING_SUFFIXES
    file = out or Path(f"{source.path.stem}-{driver.path.stem}{endings[0]}")
    if file.suffix and file.suffix.lower() not in endings:
        instead = ", as the driver is an image" if driver.is_image else ", or have no ending, for a folder of PNG"
        raise ValueError(f"--out: {file} must end in {', '.join(endings)}{instead}")
    if file.resolve() in (source.path.resolve(), driver.path.resolve()):
        raise ValueError(f"--out: {file} would replace an input; give another name")
    if file.suffix or file.is_file():
        check_free(file, overwrite=overwrite and bool(file.suffix))
    else:
        FrameFolderWriter(file)  # says that a folder is not empty, before anything long
    return file
