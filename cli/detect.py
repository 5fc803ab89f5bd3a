"""`autolink-gen detect`: keypoints of pictures and videos, as pictures and as numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autolink_gen.cli.cluster_choice import (
    ClusterChoice,
    cluster_choice,
    drop_options,
    left_out,
    without_clusters,
    without_text,
)
from autolink_gen.cli.shared import counted, echo, pick_device

if TYPE_CHECKING:
    import numpy as np

    from autolink_gen.data.video import VideoReader
    from autolink_gen.inference.detect import Detection
    from autolink_gen.inference.keypoint_files import KeypointFiles
    from autolink_gen.inference.sources import Source
    from autolink_gen.landmark_regressor import LandmarkRegressor
    from autolink_gen.models.autolink import AutoLink


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", "run", metavar="RUN", help="Run, by name or folder, or its model.safetensors. "
              "[default: the newest run in runs/graph]")  # fmt: skip
@click.option("--regressor", "regressor_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
              help="Also find named landmarks, with the map that evaluate wrote.")  # fmt: skip
@drop_options
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), default="detections",
              show_default=True, help="Folder to write to.")  # fmt: skip
@click.option("--edges/--no-edges", default=True, show_default=True, help="Draw the edges too.")
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="Draw edges whose weight is at least this share of the largest.")  # fmt: skip
@click.option("--overlays/--no-overlays", default=True, show_default=True, help="Draw pictures and videos.")
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True,
              help="Pictures to detect at a time.")  # fmt: skip
@click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1 ... [default: cuda where there is one]")
@click.option("--fps", type=click.FloatRange(0, min_open=True),
              help="Look at no more than this many frames a second of a video. [default: all]")  # fmt: skip
def detect(
    *,
    paths: tuple[Path, ...],
    run: str | None,
    regressor_file: Path | None,
    clusters: int | None,
    dropped_clusters: tuple[int, ...],
    out: Path,
    edges: bool,
    threshold: float,
    overlays: bool,
    batch_size: int,
    device: str | None,
    fps: float | None,
) -> None:
    """Find the keypoints in pictures and videos.

    PATH is a picture, a video, or a folder of them, nested or not. Written to --out: each picture (PNG) and
    video (MP4, with its sound) with the keypoints and edges drawn on it, and keypoints.csv and
    keypoints.json, in pixels of the original, (0, 0) being the centre of its first pixel. The columns are
    file, frame, time_s, width_px, height_px, x0_px, y0_px, x1_px, ...; the JSON also holds the edges with
    their weights. Files that cannot be read are skipped and reported.

    Keypoints left out with --drop-cluster are not drawn, have no columns and no edges, and are null in the
    JSON; the others keep their numbers. A regressor still looks at all of them, as it was fitted on all.

    \b
    Examples:
      autolink-gen detect my_pictures film.mp4 --out found --threshold 0.2
      autolink-gen detect my_pictures --clusters 2 --drop-cluster 1
      autolink-gen detect my_pictures --regressor runs/graph/faces/evaluation/faces68-regressor.json
    """
    from autolink_gen.checkpoints import find_run
    from autolink_gen.inference.keypoint_files import KeypointFiles
    from autolink_gen.inference.sources import find_sources

    choice = cluster_choice(clusters, dropped_clusters)
    sources = find_sources(paths, out=out)
    found_run = find_run("graph", run)
    model, regressor = _loaded(found_run, choice, regressor_file, device=pick_device(device))
    newest = "" if run else ", the newest run"
    echo(f"model: {found_run} ({model.config.num_keypoints} keypoints){newest}{without_text(model, choice)}")
    dropped = left_out(model)
    weights = model.edge_weights.detach().cpu().numpy()
    names = () if regressor is None else regressor.names
    with KeypointFiles(
        out, model_name=str(found_run), edge_weights=weights, dropped=dropped, landmark_names=names
    ) as files:
        task = _Task(
            model,
            files,
            regressor=regressor,
            dropped=dropped,
            out=out if overlays else None,
            edge_weights=weights if edges else None,
            threshold=threshold,
            batch_size=batch_size,
            fps=fps,
        )
        task.detect_all(sources)
        _report_skipped(files, num_sources=len(sources))
    _report(task, num_sources=len(sources))


def _loaded(
    run: Path, choice: ClusterChoice | None, regressor_file: Path | None, *, device: str
) -> tuple["AutoLink", "LandmarkRegressor | None"]:
    """The graph without the clusters that are left out, and the regressor, which was fitted on the whole graph."""
    from autolink_gen.checkpoints import load_graph_model

    whole = load_graph_model(run)
    model = without_clusters(whole, choice)  # on the CPU, as elsewhere: the clusters must be the same
    regressor = None if regressor_file is None else _regressor(regressor_file, whole.to(device))
    return model.to(device).prepare_for_inference(), regressor


def _regressor(file: Path, model: "AutoLink") -> "LandmarkRegressor":
    from autolink_gen.landmark_regressor import LandmarkRegressor

    regressor = LandmarkRegressor.load(file)
    regressor.check_graph(model.edge_weights)
    return regressor


def _report_skipped(files: "KeypointFiles", *, num_sources: int) -> None:
    """Name the files that could not be read; ClickException where none could."""
    for _, reason in files.skipped:
        echo(f"skipped: {reason}", err=True)
    if not files.num_records:
        raise click.ClickException(f"none of the {num_sources} files could be read; nothing was written")


def _report(task: "_Task", *, num_sources: int) -> None:
    files = task.files
    if task.out is not None:
        echo(f"wrote {counted(task.num_overlays, 'overlay')} below {task.out}")
    for file in files.paths:
        echo(f"wrote {file} ({counted(files.num_records, 'record')})")
    if files.skipped:
        echo(f"skipped {len(files.skipped)} of {num_sources} files, see above")


@dataclass
class _Task:
    """What one call of the command is to do with each file."""

    model: "AutoLink"
    files: "KeypointFiles"
    regressor: "LandmarkRegressor | None"
    dropped: list[int]
    out: Path | None
    edge_weights: "np.ndarray | None"
    threshold: float
    batch_size: int
    fps: float | None
    num_overlays: int = 0

    def detect_all(self, sources: list["Source"]) -> None:
        """Pictures in one stream, then each video, under one progress bar."""
        from tqdm import tqdm

        pictures = [source for source in sources if not source.is_video]
        videos = self._open([source for source in sources if source.is_video])
        total = len(pictures) + sum(self._num_frames(reader) for _, reader in videos)
        with tqdm(total=total, unit="picture", desc="detect", leave=False, disable=None) as bar:
            self._pictures(pictures, bar.update)
            for source, reader in videos:
                self._video(source, reader, bar.update)

    def _pictures(self, sources: list["Source"], progress: Callable[[int], object]) -> None:
        from autolink_gen.files import write_picture
        from autolink_gen.inference.detect import detect_pictures, picture_files

        overlays = {source.path: source.overlay for source in sources}
        stream = picture_files(list(overlays), on_error=lambda path, error: self.files.skip(path, str(error)))
        for found in detect_pictures(self.model, stream, batch_size=self.batch_size):
            landmarks = self._add(found)
            if self.out is not None:
                write_picture(self.out / overlays[found.source.file], self._drawn(found, landmarks))
                self.num_overlays += 1
            progress(1)

    def _video(self, source: "Source", reader: "VideoReader", progress: Callable[[int], object]) -> None:
        from contextlib import ExitStack

        from autolink_gen.data.video import VideoError
        from autolink_gen.data.video_writing import VideoWriter
        from autolink_gen.inference.detect import detect_pictures, video_frames

        self.files.begin_file()
        rate = reader.fps if self.fps is None or reader.fps <= self.fps else self.fps
        try:
            with ExitStack() as stack:
                writer = None
                if self.out is not None:
                    target = self.out / source.overlay
                    writer = stack.enter_context(VideoWriter(target, fps=rate, copy_audio_from=source.path))
                frames = video_frames(reader, fps=self.fps)
                for found in detect_pictures(self.model, frames, batch_size=self.batch_size):
                    landmarks = self._add(found)
                    if writer is not None:
                        writer.write(self._drawn(found, landmarks), time_s=found.source.time_s)
                    progress(1)
            self.num_overlays += self.out is not None
        except VideoError as error:
            self.files.take_back()
            self.files.skip(source.path, str(error))

    def _open(self, sources: list["Source"]) -> list[tuple["Source", "VideoReader"]]:
        from autolink_gen.data.video import VideoError, VideoReader

        opened = []
        for source in sources:
            try:
                opened.append((source, VideoReader(source.path)))
            except VideoError as error:
                self.files.skip(source.path, str(error))
        return opened

    def _num_frames(self, reader: "VideoReader") -> int:
        share = 1.0 if self.fps is None else min(1.0, self.fps / float(reader.fps))
        return round((reader.num_frames or 0) * share)

    def _add(self, found: "Detection") -> "np.ndarray | None":
        """Note what was found in a picture; its landmarks in pixels, where there is a regressor."""
        from autolink_gen.inference.detect import landmarks_px

        landmarks = None if self.regressor is None else landmarks_px(self.regressor, found)
        self.files.add(found, landmarks)
        return landmarks

    def _drawn(self, found: "Detection", landmarks: "np.ndarray | None") -> "np.ndarray":
        import numpy as np

        from autolink_gen.viz import draw_graph

        keypoints = found.without(self.dropped).keypoints
        drawn = draw_graph(found.source.pixels, keypoints, self.edge_weights, threshold=self.threshold)
        if landmarks is None:
            return drawn
        white = np.full((len(landmarks), 3), 255, np.uint8)
        dot_px = 2.0 if len(landmarks) <= 20 else 1.5
        return draw_graph(drawn, found.normalised(landmarks), colours=white, dot_px=dot_px)
