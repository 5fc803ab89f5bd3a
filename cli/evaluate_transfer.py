"""``autolink-gen evaluate --transfer``: a pose-transfer network on persons that it was not trained on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autolink_gen.cli.evaluation_files import EvaluationFiles
from autolink_gen.cli.options import echo, pick_device
from autolink_gen.cli.shared import evaluated_data, run_settings
from autolink_gen.common.progress import progress_bar
from autolink_gen.data.identity import public_data

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from autolink_gen.evaluation.transfer import Painted, TransferReport
    from autolink_gen.inference.transfer import Transfer

_MAX_FRAMES = 100  # of a clip
_MAX_CLIPS = 20
_SHOWN_CLIPS = 6
_FPS = 12
_COLUMNS = ("network", "network_nearest", "copy", "nearest")


def evaluate_transfer_run(
    run: str, *, options: dict[str, Any], json_file: Path | None, video: Path | None, device: str | None
) -> None:
    """Score a transfer run on held-out clips, print and write the scores and a video."""
    from autolink_gen.clusters import without_text
    from autolink_gen.common.files import write_text_atomically
    from autolink_gen.evaluation.transfer import evaluate_transfer
    from autolink_gen.inference.transfer import load_transfer
    from autolink_gen.pretrained.features import load_lpips
    from autolink_gen.runs import RunFolder

    path = RunFolder.find(run, kind="transfer").path
    endings, given = {"json": ".json", "picture": ".mp4"}, {"json": json_file, "picture": video}
    files = EvaluationFiles(path, "transfer", endings=endings, given=given, options=options)
    transfer = load_transfer(path, device=pick_device(device))
    data, clips = _clips(path, transfer, options)
    echo(f"model: {path}{without_text(transfer.graph)}; {len(clips)} clips of {data}")
    shown: list[Painted] = []
    report = evaluate_transfer(
        transfer,
        clips,
        perceptual=load_lpips(),
        keep=lambda painted: shown.append(painted) if len(shown) < _SHOWN_CLIPS else None,
        progress=progress_bar,
    )
    for line in _lines(report):
        echo(line)
    scores, drawn = files.place("json"), files.place("picture")
    values = {"model": str(path), "data": public_data(data), **report.to_dict()}
    write_text_atomically(scores, json.dumps(values, indent=2) + "\n")
    echo(f"wrote {scores}: the scores")
    _write_video(drawn, shown)
    echo(f"wrote {drawn}: a row a clip; source, true frame, {', '.join(_COLUMNS)}")


def _clips(path: Path, transfer: "Transfer", options: dict[str, Any]) -> tuple[str, list[tuple[str, "Tensor"]]]:
    """The name of the data and the held-out clips, each with its name and at most 100 frames in [0, 1]."""
    import torch

    from autolink_gen.data.source import open_clips

    data, root, _ = evaluated_data(path, options)
    seed = run_settings(path, "training").get("seed", 0)
    found = open_clips(data, root=root, split="test", image_size=transfer.image_size, seed=seed)
    found = found[: options["max_test"] or _MAX_CLIPS]
    read = []
    for clip in progress_bar(found, len(found), "read"):
        count = clip.count()
        number_wanted = min(count, _MAX_FRAMES)
        wanted = [i * count // number_wanted for i in range(number_wanted)]
        frames = [pixels for number, pixels in clip.read(wanted, min_side=transfer.image_size) if number in wanted]
        squares = torch.from_numpy(transfer.fitted(frames)).permute(0, 3, 1, 2)
        read.append((clip.name, squares.float() / 255))
    return data, read


def _lines(report: "TransferReport") -> list[str]:
    rows = [f"{'':<16} {'L1':>7} {'PSNR':>6} {'SSIM':>6} {'LPIPS':>6} {'AKD':>6}"]
    names = {
        "network": "network",
        "network_nearest": "  of nearest",
        "copy": "source frame",
        "nearest": "nearest frame",
    }
    for method, scores in report.means.items():
        rows.append(
            f"{names[method]:<16} {scores.l1:7.4f} {scores.psnr:6.2f} {scores.ssim:6.3f} {scores.lpips:6.3f} "
            f"{scores.akd_graph:6.2f}"
        )
    return [
        f"{len(report.clips)} clips, each painted from its own first frame, or from the frame of its first quarter "
        f"that is nearest in pose",
        *rows,
        "AKD: distance in % of the width of the keypoints that the run's own graph detects",
        f"one clip moved by another: keypoints {report.cross_percent:.2f} % of the width from the driver's, "
        f"{report.cross_copy_percent:.2f} % where the source frame is left as it is",
    ]


def _write_video(file: Path, shown: list["Painted"]) -> None:
    from autolink_gen.data.video.writer import VideoWriter

    file.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(file, fps=_FPS) as writer:
        for picture in _pictures(shown):
            writer.write(picture)


def _pictures(shown: list["Painted"]) -> Iterator["np.ndarray"]:
    """Frame after frame, as long as the longest clip; the others stay at their last."""
    import torch

    from autolink_gen.viz.graphs import even_grid, to_uint8

    for number in range(max(len(painted.true) for painted in shown)):
        rows = []
        for painted in shown:
            at = min(number, len(painted.true) - 1)
            tiles = [painted.source, painted.true[at], *(painted.shown[name][at] for name in _COLUMNS)]
            rows.append(to_uint8(torch.stack(tiles) * 2 - 1))
        yield even_grid(rows)
