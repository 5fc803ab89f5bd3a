"""Moving one picture or video by another: what a page asks for, the video that is made, the command that makes it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from autolink_gen.common.files import fitting_name
from autolink_gen.common.text import counted, typed
from autolink_gen.config import build
from autolink_gen.inference.smoothing import Smoothing
from autolink_gen.inference.transfer import Transfer
from autolink_gen.inference.transfer_files import Audio, TransferFiles
from autolink_gen.inference.transfer_video import CROPPED, Look, TransferReport
from autolink_gen.studio.jobs import Job
from autolink_gen.studio.shelf import KeptFile, Shelf
from autolink_gen.studio.uploads import MAX_VIDEO_FPS, naming, open_upload

_LABELS = {"look.size": "Width", "start_s": "From second", "end_s": "To second"}  # of fields with numbers, in the page


@dataclass(frozen=True)
class TransferRequest:
    """The tokens of an uploaded source and driver, and options of ``autolink-gen transfer``, which has their meaning.

    ``relative`` None: a driver that is a video moves the source, one that is a picture gives its pose. ``start_s`` and
    ``end_s`` are seconds into the driver.
    """

    source: Annotated[str, Field(max_length=64)]
    driver: Annotated[str, Field(max_length=64)]
    relative: bool | None = None
    adapt_scale: bool = False
    find_best_frame: bool = False
    smooth: Smoothing | None = None
    audio: Audio = "driver"
    look: Look = CROPPED
    start_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    end_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


def request_of(data: dict[str, Any]) -> TransferRequest:
    """What a page asks for; raises ValueError that calls wrong fields what the page does."""
    try:
        return build(TransferRequest, data)
    except ValueError as error:
        message = str(error)
        for field, label in _LABELS.items():
            message = message.replace(field, label)
        raise ValueError(message) from error


@dataclass(frozen=True)
class Moved:
    """What was made: a file on the shelf of results, and the command that makes it, or all of it, of the files.

    ``remarks`` are lines on what a user may not expect, such as where it ends early.
    """

    token: str
    name: str
    is_image: bool
    num_frames: int
    remarks: list[str]
    command: str


class TransferDesk:
    """Moves with one transfer network; ``name`` is how commands name its run."""

    def __init__(self, network: Transfer, *, name: str) -> None:
        self.network, self.name = network, name

    def move(self, request: TransferRequest, source: KeptFile, driver: KeptFile, *, results: Shelf, job: Job) -> Moved:
        """Make the video, of a driver that is a picture a picture, in steps of a job.

        Of a job that is stopped the frames until then stay. Raises ValueError, which calls the files what their owner
        does, for what cannot be read, for drivers without a pose, and where a job is stopped before the first frame.
        """
        with naming(source, driver):
            streams = open_upload(source), open_upload(driver, start_s=request.start_s, end_s=request.end_s)
            is_image = streams[1].is_image
            name = fitting_name(f"{Path(source.name).stem}-{Path(driver.name).stem}", ".png" if is_image else ".mp4")
            with results.new(name) as out, naming(out):
                files = TransferFiles.of(*streams, out=out.path, audio=request.audio)
                report = self._animate(files, request, job)
            remarks = files.remarks(report, is_cut=job.is_cut)
            if report.stopped or job.is_cut:
                why = report.stopped or "stopped; the command makes all of it"
                remarks.append(f"the result ends early, after {counted(report.num_frames, 'frame')}: {why}")
            return Moved(
                token=out.token,
                name=name,
                is_image=is_image,
                num_frames=report.num_frames,
                remarks=[driver.named(source.named(line)) for line in remarks],
                command=self._command(request, source, driver, is_fast=files.driver.fps == MAX_VIDEO_FPS),
            )

    def _animate(self, files: TransferFiles, request: TransferRequest, job: Job) -> TransferReport:
        motion = files.motion(request.relative, adapt_scale=request.adapt_scale, smooth=request.smooth)
        best = request.find_best_frame
        try:
            return files.animate(self.network, motion, look=request.look, find_best_frame=best, progress=job.progress)
        except ValueError:
            if job.is_stopped:  # and so nothing was written
                raise ValueError("stopped before the first frame was made") from None
            raise

    def _command(self, request: TransferRequest, source: KeptFile, driver: KeptFile, *, is_fast: bool) -> str:
        """The command that makes the same beside the two files; ``is_fast``: some of its frames are left out."""
        look = request.look
        words = [
            f"autolink-gen transfer {typed(source.name)} {typed(driver.name)} --model {typed(self.name)}",
            "" if request.relative is None else "--relative" if request.relative else "--absolute",
            "--adapt-scale" if request.adapt_scale else "",
            "--find-best-frame" if request.find_best_frame else "",
            _typed_smoothing(request.smooth),
            "" if look.crop else "--crop none",
            "--paste-back" if look.paste_back else "",
            "--side-by-side" if look.side_by_side else "",
            "" if look.size is None else f"--size {look.size}",
            "" if request.audio == "driver" else f"--audio {request.audio}",
            f"--start {request.start_s:g}" if request.start_s else "",
            "" if request.end_s is None else f"--end {request.end_s:g}",
            f"--fps {MAX_VIDEO_FPS}" if is_fast else "",
        ]
        return " ".join(word for word in words if word)


def _typed_smoothing(smoothing: Smoothing | None) -> str:
    if smoothing is None:
        return ""
    return f"--smooth median:{smoothing.window}" if smoothing.kind == "median" else f"--smooth {smoothing.kind}"
