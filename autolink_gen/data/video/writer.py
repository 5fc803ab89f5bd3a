"""Videos written frame by frame with PyAV, with audio copied from another file."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from autolink_gen.common.files import UnfinishedFile, reason_of, remedy_for, write_image
from autolink_gen.data.video.audio import AudioCopier
from autolink_gen.data.video.gif_holds import hold_last_frame
from autolink_gen.data.video.media_files import media_path
from autolink_gen.data.video.reader import Rate, VideoError

WRITABLE_SUFFIXES = (".mp4", ".mov", ".webm", ".gif")
_BT709 = 1
_MAX_SIDE = 16_384  # pixels
# Encoders look at frames ahead, which take memory: of frames beyond Full HD at fewer than they usually do.
_LOOKAHEAD_BYTES, _ENCODER_BYTES = 2**28, 3
_USUAL_LOOKAHEAD, _USUAL_LAG, _LOOKAHEAD_4K = 40, 25, 10
_GIF_TICK = Fraction(1, 100)
MAX_HOLD_S = 600  # of the last frame: more of a GIF has no place in it, and elsewhere is a damaged time
_WEBM_CRF = 13  # so much higher than H.264's for about the same look


class VideoWriter:
    """Writes frames, uint8 (H, W, 3) RGB: .mp4 or .mov (H.264, index first), .webm (VP9) or .gif.

    Use it in a `with` block. The file is made beside `path` under a temporary name and takes its own when the
    block ends well; after an error nothing is left. `fps` is kept exactly. The first frame sets the size; an
    odd width or height grows by a pixel where the encoder takes even ones alone. `copy_audio_from` names a file
    whose audio, from `audio_start_s` on, is copied under the frames, in step with their times and no longer than
    they last; a file without audio changes nothing. The last frame is shown for 1 / fps, or as `end_at` says. Raises
    ValueError for another ending, a frame of another size, or a block that wrote no frame; VideoError for frames of
    more than 16,384 pixels a side.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fps: Rate,
        copy_audio_from: str | Path | None = None,
        audio_start_s: float = 0.0,
        crf: int = 18,
    ) -> None:
        self.path = Path(path)
        form = self.path.suffix.lower()
        self.is_gif = form == ".gif"
        if form not in WRITABLE_SUFFIXES:
            raise ValueError(f"cannot write {self.path}: the name must end in {', '.join(WRITABLE_SUFFIXES)}")
        if not fps > 0:
            raise ValueError(f"fps is {fps}; it must be positive")
        self.fps = Fraction(fps).limit_denominator(65535)
        self.crf = crf
        self.num_frames = 0
        self._audio_start_s = audio_start_s
        self._audio_from = Path(copy_audio_from) if copy_audio_from and not self.is_gif else None
        self._unfinished: UnfinishedFile | None = None
        self._container: Any = None
        self._stream: Any = None
        self._audio: AudioCopier | None = None
        self._converter = VideoReformatter()
        self._last_pts, self._end_s = -1, 0.0
        self._waiting: Any = None
        self._size = (0, 0)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            with suppress(FFmpegError):
                self._close()
            if self._unfinished is not None:
                self._unfinished.discard()

    def write(self, frame: UInt8[ndarray, "H W 3"], *, time_s: float | None = None) -> None:
        """Append a frame, shown from `time_s` seconds on, or 1 / fps after the last where none is given."""
        if self._container is None:
            with disk_errors(self.path):
                self._open(frame)
        if frame.shape[:2] != self._size:
            raise ValueError(
                f"frame {self.num_frames} of {self.path} has height and width {frame.shape[:2]}, the first "
                f"had {self._size}; bring all frames to one size"
            )
        tick = self._stream.codec_context.time_base
        # Where no time is given the exact rate counts, and rounding must not add up.
        time = self.num_frames / self.fps if time_s is None else time_s
        pts = round(time / tick) if time_s is None else round(time_s / float(tick))
        self.num_frames += 1
        if self.is_gif and self._last_pts >= 0 and pts < self._last_pts + 2:
            return  # viewers slow down a GIF of more than 50 frames a second
        pts = max(pts, self._last_pts + 1)
        encodable = self._to_av_frame(frame)
        encodable.pts, encodable.time_base = pts, tick
        self._last_pts = pts
        with disk_errors(self.path):
            self._mux(self._stream.encode(encodable))
            if self._audio is not None:
                self._audio.mux_until(float(pts * tick))

    def _mux(self, packets: list[Any]) -> None:
        """Write packets but for the last, which waits until its duration is known."""
        for packet in packets:
            if self._waiting is not None:
                self._container.mux(self._waiting)
            self._waiting = packet

    def end_at(self, time_s: float) -> None:
        """Show the last frame until `time_s` seconds, where that is after its own time; for 1 / fps else."""
        self._end_s = time_s

    def _open(self, frame: ndarray) -> None:
        self._size = (frame.shape[0], frame.shape[1])
        if max(self._size) > _MAX_SIDE:
            raise VideoError(
                f"{self.path} cannot hold frames of height and width {self._size}: an encoder takes {_MAX_SIDE} pixels "
                f"a side; give smaller ones"
            )
        self._unfinished = UnfinishedFile(self.path)
        form = self.path.suffix.lower()[1:]
        options = {"movflags": "+faststart"} if form in ("mp4", "mov") else {}
        self._container = av.open(media_path(self._unfinished.temporary), "w", format=form, options=options)
        self._stream = self._gif_stream() if self.is_gif else self._yuv_stream(form)
        if self._audio_from is not None:
            self._audio = AudioCopier.open(self._audio_from, self._container, start_s=self._audio_start_s)

    def _gif_stream(self) -> Any:
        stream = self._container.add_stream("gif", rate=self.fps)
        stream.height, stream.width = self._size
        stream.pix_fmt = "pal8"
        stream.codec_context.time_base = _GIF_TICK
        return stream

    def _yuv_stream(self, form: str) -> Any:
        ahead = _LOOKAHEAD_BYTES // (_ENCODER_BYTES * self._size[0] * self._size[1])
        codec, options = "libx264", {"crf": str(self.crf)}
        if form == "webm":
            codec, options = "libvpx-vp9", {"crf": str(self.crf + _WEBM_CRF), "b:v": "0", "cpu-used": "4"}
            options |= {"lag-in-frames": str(ahead)} if ahead < _USUAL_LAG else {}
        elif ahead < _USUAL_LOOKAHEAD:  # no thread for each frame either: each holds some
            low_memory = "" if ahead >= _LOOKAHEAD_4K else ":bframes=0:ref=1"
            options["x264-params"] = f"rc-lookahead={ahead}:sliced-threads=1{low_memory}"
        stream = self._container.add_stream(codec, rate=self.fps, options=options)
        stream.height, stream.width = (side + side % 2 for side in self._size)
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        # At least 10000 ticks a second, and a whole number of them a frame.
        ticks_per_s = self.fps.numerator * math.ceil(10_000 / self.fps.numerator)
        context.time_base = Fraction(1, ticks_per_s)
        return stream

    def _to_av_frame(self, frame: ndarray) -> Any:
        if self.is_gif:
            return _with_palette(frame)
        height, width = self._size
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        return self._converter.reformat(rgb, format="yuv420p", dst_colorspace=_BT709)

    def _finish(self) -> None:
        if self._container is None:
            raise ValueError(f"no frame was written to {self.path}; give at least one")
        tick = self._stream.codec_context.time_base
        last = self._last_pts * tick
        hold, usual = min(round(self._end_s / tick) * tick - last, MAX_HOLD_S), 1 / self.fps
        is_usual = hold <= 0 or abs(hold - usual) <= 2 * tick
        end = last + (usual if is_usual else hold)
        with disk_errors(self.path):
            self._mux(self._stream.encode(None))
            packet, self._waiting = self._waiting, None
            if not is_usual:  # the video ends where any frame does: this may be one that is shown before the last
                packet.duration = round(end / packet.time_base) - packet.pts
            self._container.mux(packet)
            if self._audio is not None:
                self._audio.mux_until(float(end))
                self._audio.finish()
            self._close()
            assert self._unfinished is not None
            if self.is_gif:
                hold_last_frame(self._unfinished.temporary, ticks=round((end - last) / _GIF_TICK))
            self._unfinished.keep()

    def _close(self) -> None:
        audio, self._audio = self._audio, None
        container, self._container = self._container, None
        if audio is not None:
            audio.close()
        if container is not None:
            container.close()


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn errors in writing a file into one OSError that names it, the reason and a remedy."""
    try:
        yield
    except (FFmpegError, OSError) as error:
        raise OSError(f"could not write {path}: {reason_of(error)}; {remedy_for(error, path)}") from error


class ImageWriter:
    """Writes one frame as an image, in the format of the name's ending; a later frame replaces it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __enter__(self) -> "ImageWriter":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def write(self, frame: UInt8[ndarray, "H W 3"], *, time_s: float | None = None) -> None:
        """Write the frame; an image keeps no time."""
        write_image(self.path, frame)

    def end_at(self, time_s: float) -> None:
        """Nothing: an image keeps no time."""


class FrameFolderWriter:
    """Writes frames as 000000.png, 000001.png ... into a folder that is new or empty; the twin of `VideoWriter`."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and any(self.folder.iterdir()):
            raise ValueError(f"{self.folder} is not empty; give a new folder for the frames")
        self.num_frames = 0

    def __enter__(self) -> "FrameFolderWriter":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do: each frame is whole."""

    def write(self, frame: UInt8[ndarray, "H W 3"], *, time_s: float | None = None) -> None:
        """Append a frame; a folder keeps no times."""
        write_image(self.folder / f"{self.num_frames:06d}.png", frame)
        self.num_frames += 1

    def end_at(self, time_s: float) -> None:
        """Nothing: a folder keeps no times."""


def _with_palette(frame: ndarray) -> Any:
    """A frame of at most 256 colours, chosen for it alone."""
    image = Image.fromarray(frame).quantize(256)
    palette = np.zeros((256, 4), np.uint8)
    colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette[: len(colours), 1:] = colours
    palette[:, 0] = 255
    pair: Any = (np.asarray(image), palette)  # as its documentation asks, against its type hint
    return av.VideoFrame.from_ndarray(pair, format="pal8")
