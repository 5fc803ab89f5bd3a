"""Score a transfer network's run on clips of people that it was not trained on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from autolink_gen.clusters import without_text
from autolink_gen.common.progress import Progress
from autolink_gen.common.spread import evenly
from autolink_gen.data.video.writer import VideoWriter
from autolink_gen.evaluation.outputs import Outputs, ResultFiles
from autolink_gen.evaluation.reports import Evaluation
from autolink_gen.evaluation.settings import EvaluationSettings
from autolink_gen.evaluation.transfer import METHODS, FrameScores, PaintedClip, TransferScores, evaluate_transfer
from autolink_gen.inference.transfer import Transfer, load_transfer
from autolink_gen.pretrained.features import load_lpips
from autolink_gen.runs import RunFolder
from autolink_gen.viz.graphs import even_grid, to_uint8

_VIDEO_ENDINGS = (".mp4", ".gif", ".mov")
_MAX_FRAMES = 100  # of a clip
_MAX_CLIPS = 20
_SHOWN_CLIPS = 6
_FPS = 12
_TITLES = {
    "network": "network",
    "network_nearest": "  of nearest",
    "copy": "source frame",
    "nearest": "nearest frame",
}


@dataclass(frozen=True, kw_only=True)
class TransferEvaluation(Evaluation):
    """The scores of a transfer network; see `TransferScores` for what each is."""

    transfer: TransferScores

    @property
    def mean(self) -> FrameScores:
        """The network's scores from a clip's first frame, as means over clips."""
        return self.transfer.means["network"]

    @property
    def cross_percent(self) -> float:
        """The distance of keypoints from the driver's in cross-person transfer, in % of the width."""
        return self.transfer.cross_percent

    def scores(self) -> dict[str, Any]:
        """The scores as plain values."""
        return self.transfer.to_dict()

    def lines(self) -> list[str]:
        """The scores in words."""
        rows = [f"{'':<16} {'L1':>7} {'PSNR':>6} {'SSIM':>6} {'LPIPS':>6} {'AKD':>6}"]
        for method, mean in self.transfer.means.items():
            rows.append(
                f"{_TITLES[method]:<16} {mean.l1:7.4f} {mean.psnr:6.2f} {mean.ssim:6.3f} {mean.lpips:6.3f} "
                f"{mean.akd_graph:6.2f}"
            )
        return [
            f"{len(self.transfer.clips)} clips, each painted from its own first frame, or from the frame of its first "
            f"quarter that is nearest in pose",
            *rows,
            "AKD: distance in % of the width of the keypoints that the run's own graph detects",
            f"one clip moved by another: keypoints {self.transfer.cross_percent:.2f} % of the width from the "
            f"driver's, {self.transfer.cross_copy_percent:.2f} % where the source frame is left as it is",
        ]


def evaluate_transfer_run(
    run: RunFolder, requested: EvaluationSettings, outputs: Outputs, *, device: str, progress: Progress
) -> TransferEvaluation:
    """Score a network on held-out clips and write the results; ValueError as `evaluate`."""
    files = ResultFiles(
        run,
        "transfer",
        outputs,
        endings={"json": ".json", "picture": ".mp4"},
        images=_VIDEO_ENDINGS,
        settings=requested.to_dict(),
    )
    settings, network = requested.on_data_of(run), load_transfer(run, device=device)
    clips = _read_clips(run, network, settings, progress=progress)
    painted_clips: list[PaintedClip] = []
    scores = evaluate_transfer(
        network,
        clips,
        perceptual=load_lpips(),
        keep=lambda painted: painted_clips.append(painted) if len(painted_clips) < _SHOWN_CLIPS else None,
        progress=progress,
    )
    source = settings.source
    note = f"model: {run}{without_text(network.graph)}; {len(clips)} clips of {source.text}"
    report = TransferEvaluation(model=str(run.path), data=source.text, notes=(note,), transfer=scores)
    files.write_scores(report)
    if (file := files.place("picture")) is not None:
        _write_video(file, painted_clips)
        files.written.append((file, f"a row a clip; source, true frame, {', '.join(METHODS)}"))
    return replace(report, files=tuple(files.written))


def _read_clips(
    run: RunFolder, network: Transfer, settings: EvaluationSettings, *, progress: Progress
) -> list[tuple[str, Tensor]]:
    """The held-out clips, each with its name and at most 100 frames in [0, 1]."""
    config = run.config()
    seed = 0 if config is None else config.training.seed
    clips = settings.source.clips("test", size=network.image_size, seed=seed)
    clips = clips[: settings.max_test or _MAX_CLIPS]
    read = []
    for clip in progress(clips, len(clips), "read"):
        numbers = evenly(clip.count(), _MAX_FRAMES)
        frames = [pixels for number, pixels in clip.read(numbers, min_side=network.image_size) if number in numbers]
        squares = torch.from_numpy(network.fit_images(frames)).permute(0, 3, 1, 2)
        read.append((clip.name, squares.float() / 255))
    return read


def _write_video(file: Path, painted_clips: Sequence[PaintedClip]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(file, fps=_FPS) as writer:
        for image in _video_frames(painted_clips):
            writer.write(image)


def _video_frames(painted_clips: Sequence[PaintedClip]) -> Iterator[UInt8[ndarray, "_ _ 3"]]:
    """Frame after frame, as long as the longest clip; the others stay at their last."""
    for number in range(max(len(painted.true) for painted in painted_clips)):
        rows = []
        for painted in painted_clips:
            index = min(number, len(painted.true) - 1)
            tiles = [painted.source, painted.true[index], *(painted.by_method[name][index] for name in METHODS)]
            rows.append(to_uint8(torch.stack(tiles)))
        yield even_grid(rows)
