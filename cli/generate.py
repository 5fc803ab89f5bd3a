"""`autolink-gen generate`: pictures painted by a trained GAN, on poses and in styles of the user's choice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolink_gen.cli.shared import counted, echo, overwrite_option, pick_device
from autolink_gen.progress import progress_bar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from autolink_gen.data.films import Film
    from autolink_gen.inference.generate import Gan
    from autolink_gen.inference.poses import Pose, PoseEdits

_FPS = 20
_BATCH = 16
_TILE_PX = 128
_LAYOUTS = ("rows=seeds,cols=poses", "rows=poses,cols=seeds")


@click.command()
@click.option("--model", "run", metavar="RUN", help="Run, by name or folder, or its model.safetensors. "
              "[default: the newest run in runs/gan]")  # fmt: skip
@click.option("--from", "source", metavar="PATH", type=click.Path(path_type=Path),
              help="Pose: a picture, a video, a keypoints.json or .csv. [default: eight in training]")  # fmt: skip
@click.option("--style", metavar="PICTURE|SEED", help="Style: a seed, or a picture to take it from.")
@click.option("--seeds", metavar="0-15", help="Styles by their seeds. [default: 0-3]")
@click.option("--steps", type=click.IntRange(min=1), default=300, show_default=True,
              help="Steps to find the style of a picture.")  # fmt: skip
@click.option("--trunc", type=click.FloatRange(min=0), default=1.0, show_default=True,
              help="Below 1: styles nearer to the mean one.")  # fmt: skip
@click.option("--interpolate", type=click.Choice(["style", "pose"]),
              help="Write a video through all styles on the first pose, or all poses in the first style.")  # fmt: skip
@click.option("--frames", type=click.IntRange(min=2), default=60, show_default=True, help="Length of that video.")
@click.option("--move", "moves", multiple=True, metavar="3:+0.1,-0.05",
              help="Move a keypoint by x, y; the picture is 2 wide.")  # fmt: skip
@click.option("--swap", "swaps", multiple=True, metavar="2,5", help="Exchange the places of two keypoints.")
@click.option("--remove", "removed", multiple=True, type=int, metavar="4", help="Draw no edges to a keypoint.")
@click.option("--grid", type=click.Choice(_LAYOUTS), help="Write one picture of them all, and no others.")
@click.option("--out", metavar="DIR|FILE", type=click.Path(path_type=Path), default="generated", show_default=True,
              help="Folder to write to, or the grid's or video's file.")  # fmt: skip
@overwrite_option
@click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1 ... [default: cuda where there is one]")
def generate(
    *, run: str | None, source: Path | None, out: Path, overwrite: bool, device: str | None, **options: Any
) -> None:
    """Paint with a trained GAN: move the skeleton and keep the style, or the other way round.

    Without --from, on poses of the training pictures; a video is painted frame by frame. The numbers of the
    keypoints are those that view-graph shows. What is changed with --move, --swap and --remove stands beside the
    unchanged in the grid. Where a file to be written is there already, nothing is painted without --overwrite.

    \b
    Examples:
      autolink-gen generate --seeds 0-7 --grid rows=seeds,cols=poses
      autolink-gen generate --from cat.jpg --style 3 --move 2:+0.1,0
      autolink-gen generate --from cat.jpg --style other_cat.jpg
      autolink-gen generate --interpolate pose --style 5 --out moving.gif
    """
    from autolink_gen.checkpoints import find_run
    from autolink_gen.clusters import without_text
    from autolink_gen.data.moving_pictures import is_film
    from autolink_gen.inference.generate import load_gan
    from autolink_gen.inference.poses import parse_edits

    if options["grid"] and options["interpolate"]:
        raise click.UsageError("give --grid, one picture, or --interpolate, a video, not both")
    found = find_run("gan", run)
    gan = load_gan(found, device=pick_device(device))
    count = gan.graph.config.num_keypoints
    newest = "" if run else ", the newest run"
    echo(f"model: {found} ({count} keypoints){newest}{without_text(gan.graph)}")
    edits = parse_edits(moves=options["moves"], swaps=options["swaps"], removed=options["removed"], num_keypoints=count)
    places = _Places(out, _style_names(options), overwrite=overwrite)
    if source is not None and is_film(source):
        if options["grid"] or options["interpolate"]:
            raise click.UsageError("--grid and --interpolate take pictures or tables of keypoints, not a video")
        videos = places.videos(source)
        _painter(gan, edits, places, options).video(source, videos)
        return
    poses = _poses(gan, source)
    if options["interpolate"]:
        video = places.interpolated(options["interpolate"])
        _painter(gan, edits, places, options).interpolate(poses, video, options)
    elif options["grid"]:
        file = places.grid()
        _painter(gan, edits, places, options).grid(poses, file, layout=options["grid"])
    else:
        files = places.pictures([pose.name for pose in poses])
        _painter(gan, edits, places, options).pictures(poses, files)


def _painter(gan: "Gan", edits: "PoseEdits", places: "_Places", options: dict[str, Any]) -> "_Painter":
    """Begin what takes long, the search of a picture's style; the places are known to be free by then."""
    return _Painter(gan, edits, places.names, _styles(gan, options))


def _style_names(options: dict[str, Any]) -> list[str]:
    """What to call the styles: of --seeds, or of --style, a seed or a picture."""
    style, seeds = options["style"], options["seeds"]
    if style is not None and seeds is not None:
        raise click.UsageError("give --style or --seeds, not both")
    if style is not None and not style.isdigit():
        return [Path(style).stem]
    return [f"seed{number}" for number in _seeds(options)]


def _seeds(options: dict[str, Any]) -> list[int]:
    from autolink_gen.inference.poses import parse_seeds

    given = options["seeds"] if options["seeds"] is not None else options["style"]
    return parse_seeds(given if given is not None else "0-3")


def _styles(gan: "Gan", options: dict[str, Any]) -> "Tensor":
    """The styles w, in the order of their names."""
    from autolink_gen.inference.poses import seeded_styles

    style = options["style"]
    if style is not None and not style.isdigit():
        return _style_of_picture(gan, Path(style), steps=options["steps"])
    z = seeded_styles(_seeds(options), gan.style_size).to(gan.edge_weights)
    return gan.style(z, truncation=options["trunc"])


def _style_of_picture(gan: "Gan", picture: Path, *, steps: int) -> "Tensor":
    import numpy as np
    import torch

    from autolink_gen.data.images import fit_square, read_image

    size, fit = gan.generator.config.image_size, gan.graph.config.fit
    square = np.asarray(fit_square(read_image(picture), size=size, fit=fit))
    image = torch.from_numpy(square.copy()).permute(2, 0, 1)[None].to(gan.edge_weights) / 255
    return gan.invert(image, steps=steps, progress=progress_bar)


def _poses(gan: "Gan", source: Path | None) -> list["Pose"]:
    from autolink_gen.inference.poses import Pose, read_poses

    if source is not None:
        return read_poses(source, gan.graph)
    if not len(gan.poses):
        raise click.UsageError("this model carries no poses of its own; give --from")
    return [Pose(f"pose{index}", keypoints.cpu()) for index, keypoints in enumerate(gan.poses)]


@dataclass
class _Places:
    """The files to write, for styles of some names; each method checks that its own may be written."""

    out: Path
    names: list[str]
    overwrite: bool

    def pictures(self, poses: Sequence[str]) -> list[list[Path]]:
        """A file a style and pose, a list a style, and last the one of their grid."""
        from autolink_gen.files import fitting_name

        folder, taken = self._folder(), {"grid"}
        files = [
            [folder / fitting_name(_distinct(f"{pose}-{name}", taken), ".png") for pose in poses] for name in self.names
        ]
        self._check_free(*(file for row in files for file in row), folder / "grid.png")
        return [*files, [folder / "grid.png"]]

    def grid(self) -> Path:
        """The one picture."""
        return self._file("grid.png", (".png", ".jpg", ".jpeg"))

    def interpolated(self, what: str) -> Path:
        """The one video."""
        return self._file(f"{what}.mp4", (".mp4", ".mov", ".gif"))

    def videos(self, source: Path) -> list[Path]:
        """A video a style."""
        from autolink_gen.files import fitting_name

        defaults = [fitting_name(f"{source.stem}-{name}", ".mp4") for name in self.names]
        if len(defaults) == 1:
            return [self._file(defaults[0], (".mp4", ".mov", ".gif"))]
        files = [self._folder() / name for name in defaults]
        self._check_free(*files)
        return files

    def _folder(self) -> Path:
        if self.out.suffix:
            raise click.BadParameter(f"{self.out} must be a folder: several files are written", param_hint="--out")
        return self.out

    def _file(self, name: str, endings: tuple[str, ...]) -> Path:
        file = self.out if self.out.suffix else self.out / name
        if file.suffix.lower() not in endings:
            raise click.BadParameter(f"{self.out} must end in {', '.join(endings)}", param_hint="--out")
        self._check_free(file)
        return file

    def _check_free(self, *files: Path) -> None:
        from autolink_gen.files import check_free

        check_free(*files, overwrite=self.overwrite)


def _distinct(name: str, taken: set[str]) -> str:
    """The name, numbered where it is taken, be it in other letters' case; it is taken then."""
    candidate, number = name, 1
    while candidate.lower() in taken:
        number += 1
        candidate = f"{name}-{number}"
    taken.add(candidate.lower())
    return candidate


@dataclass
class _Painter:
    """Paints on poses, changed as the user says, in named styles, and writes what comes out."""

    gan: "Gan"
    edits: "PoseEdits"
    names: list[str]
    styles: "Tensor"

    def pictures(self, poses: list["Pose"], files: list[list[Path]]) -> None:
        """One file a pose and style, and the grid of all in the last one."""
        from autolink_gen.files import write_picture

        keypoints = self._changed(poses)
        *rows, [grid] = files
        for row, style in zip(rows, self.styles, strict=True):
            for file, picture in zip(row, self._painted(keypoints, style), strict=True):
                write_picture(file, picture)
        echo(f"wrote {counted(len(poses) * len(self.names), 'picture')} to {grid.parent}")
        self.grid(poses, grid, layout=_LAYOUTS[0])

    def grid(self, poses: list["Pose"], file: Path, *, layout: str) -> None:
        """One picture: the skeletons beside what was painted on them, the unchanged ones too where there are edits."""
        from autolink_gen.files import write_picture
        from autolink_gen.viz import picture_grid

        asked = [(pose, changed) for pose in poses for changed in self._versions()]
        columns = [self._column(pose, changed=changed) for pose, changed in asked]
        rows = [list(row) for row in zip(*columns, strict=True)]
        poses_by = [f"{pose.name} changed" if self.edits and changed else pose.name for pose, changed in asked]
        styles_by = ["", *self.names]  # none for the skeletons
        if layout == _LAYOUTS[0]:
            grid = picture_grid(rows, labels=poses_by, names=styles_by)
        else:
            grid = picture_grid(columns, labels=styles_by, names=poses_by)
        write_picture(file, grid)
        what = " before and after the change" if self.edits else ""
        echo(f"wrote {file}: {counted(len(self.names), 'style')} on {counted(len(poses), 'pose')}{what}")

    def interpolate(self, poses: list["Pose"], file: Path, options: dict[str, Any]) -> None:
        """A video through all poses in the first style, or all styles on the first pose."""
        import torch

        from autolink_gen.inference.poses import between

        what, frames = options["interpolate"], options["frames"]
        keypoints = self._changed(poses)
        stops = keypoints if what == "pose" else self.styles
        if len(stops) < 2:
            more = "leave --from out, or give a keypoints.json with several" if what == "pose" else "give --seeds 0-3"
            raise click.UsageError(f"--interpolate {what} needs two {what}s or more: {more}")
        way = between(stops, frames)
        if what == "pose":
            pairs = (way, self.styles[:1].expand(frames, -1))
        else:
            pairs = (keypoints[:1].expand(frames, -1, -1), way)
        painted = (
            (picture, None)
            for points, styles in zip(torch.split(pairs[0], _BATCH), torch.split(pairs[1], _BATCH), strict=True)
            for picture in self._painted(points, styles)
        )
        self._write_video(file, painted, total=frames, fps=_FPS)

    def video(self, source: Path, files: list[Path]) -> None:
        """Each frame's pose in each style, at the video's own times."""
        from autolink_gen.data.moving_pictures import open_film
        from autolink_gen.inference.detect import detect_pictures, video_frames

        film = open_film(source)
        for file, style in zip(files, self.styles, strict=True):
            found = detect_pictures(self.gan.graph, video_frames(film))
            painted = ((self._painted(self._points(one.keypoints), style)[0], one.source.time_s) for one in found)
            self._write_video(file, painted, total=film.num_frames or 0, fps=film.fps, film=film)

    def _write_video(
        self,
        file: Path,
        pictures: Iterator[tuple["np.ndarray", float | None]],
        *,
        total: int,
        fps: Any,
        film: "Film | None" = None,
    ) -> None:
        from autolink_gen.data.video_writing import VideoWriter

        count = 0
        with VideoWriter(file, fps=fps) as writer:
            for picture, time_s in progress_bar(pictures, total, "paint"):
                writer.write(picture, time_s=time_s)
                count += 1
            if film is not None:
                writer.end_at(film.ends_s)
        echo(f"wrote {file} ({count} frames)")

    def _column(self, pose: "Pose", *, changed: bool) -> list["np.ndarray"]:
        """A skeleton, and below it what each style paints on it."""
        import numpy as np
        from PIL import Image

        from autolink_gen.viz import draw_graph

        size = self.gan.generator.config.image_size
        points = pose.keypoints[None].to(self.gan.edge_weights)
        weights = self.gan.edge_weights
        if changed:
            points, weights = self.edits.apply(points), self.edits.edge_weights(weights)
        blank = np.full((size, size, 3), 40, np.uint8)
        skeleton = draw_graph(blank, points[0], weights, threshold=0.1, min_side=_TILE_PX)
        painted = self._painted(points.expand(len(self.styles), -1, -1), self.styles, changed=changed)
        side = skeleton.shape[:2]
        return [skeleton, *(np.asarray(Image.fromarray(p).resize(side, Image.Resampling.BICUBIC)) for p in painted)]

    def _painted(self, keypoints: "Tensor", style: "Tensor", *, changed: bool = True) -> list["np.ndarray"]:
        from autolink_gen.viz import to_uint8

        styles = style.expand(len(keypoints), -1)
        weights = self.edits.edge_weights(self.gan.edge_weights) if changed else None
        return list(to_uint8(self.gan.paint(keypoints, styles, edge_weights=weights) * 2 - 1))

    def _changed(self, poses: list["Pose"]) -> "Tensor":
        import torch

        stacked = torch.stack([pose.keypoints for pose in poses])
        return self.edits.apply(stacked.to(self.gan.edge_weights))

    def _points(self, keypoints: "np.ndarray") -> "Tensor":
        import torch

        return self.edits.apply(torch.from_numpy(keypoints)[None].to(self.gan.edge_weights))

    def _versions(self) -> tuple[bool, ...]:
        return (False, True) if self.edits else (True,)
