"""``autolink-gen evaluate``: a graph against landmarks, a GAN against images, a transfer network against clips."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from autolink_gen import verbs
from autolink_gen.cli.commands import command, section
from autolink_gen.cli.completion import data_sets, runs_of
from autolink_gen.cli.options import echo, overwrite_option, pick_device

if TYPE_CHECKING:
    from autolink_gen.runs import RunFolder

_PATH = click.Path(path_type=Path)
_FILE = click.Path(path_type=Path, dir_okay=False)


def few_shot_counts(ctx: click.Context, param: click.Parameter, value: str | None) -> list[int | None] | None:
    """The numbers in "1,5,10,all", None for all; BadParameter for anything else."""
    if value is None:
        return None
    words = [word.strip() for word in value.split(",")]
    if not all(word == "all" or (word.isdigit() and int(word) > 0) for word in words):
        raise click.BadParameter(f"{value!r} must be numbers of images from 1 on, or all, as in 1,5,10,50,all")
    return [None if word == "all" else int(word) for word in words]


_WITH_CALIBRATE = ("run", "calibrate", "data", "data_root", "max_fit", "device", "overwrite")
_data = section("Data")
_score = section("Scores")
_file = section("Files")


@contextmanager
def option_errors() -> Iterator[None]:
    """Report errors of a setting as errors of the option of its name."""
    try:
        yield
    except verbs.SettingError as error:
        raise click.UsageError(str(error)) from error


@command()
@click.argument("run", required=False, shell_complete=runs_of("graph", "gan", "transfer"))
@click.option("--gan", "gan_run", metavar="RUN", help="The same as RUN, among GANs alone.")
@click.option("--transfer", "transfer_run", metavar="RUN", help="The same as RUN, among transfer networks alone.")
@_score("--fid-weights", type=_FILE, help="InceptionV3's weights, with which a GAN also gets FID and KID.")
@_score("--witness", metavar="RUN", help="Graph run, other than a GAN's own, that also judges its structure.")
@_data(
    "--data",
    shell_complete=data_sets,
    help="A named data set, a folder of test images, or puppets. [default: those trained on]",
)
@_data("--data-root", type=_PATH, help="The folder where named data sets lie.")
@_data("--landmarks", type=_FILE, help="Table of test landmarks, or labels of COCO, DeepLabCut, SLEAP, "
              "Label Studio. [default: the table beside the images]")  # fmt: skip
@_data("--fit-data", type=_PATH, help="Images to fit the regression on. [default: the train split]")
@_data("--fit-landmarks", type=_FILE, help="Table of their landmarks. [default: the one beside them]")
@_score("--protocol", help="faces68, celeba_wild, cub ... [default: the set's, or by the number of landmarks]")
@_data("--hold-out", type=click.IntRange(min=0), metavar="N",
              help="Fit on the training split without every Nth person, test on those; 0: the test split. "
              "[default: 0; without --data the run's]")  # fmt: skip
@_data("--max-fit", type=click.IntRange(min=2), help="Fit on so many images. [default: all; 500 puppets]")
@_data("--max-test", type=click.IntRange(min=1), help="Test on so many. [default: all; 200 puppets]")
@_score("--few-shot", metavar="COUNTS", callback=few_shot_counts,
              help="Also fit on so many images, several draws each: 1,5,10,50,all.")  # fmt: skip
@_file("--regressor", type=_FILE, help="Where to write the map from keypoints to landmarks, for detect. "
              "[default: in the run's folder]")  # fmt: skip
@_file("--json", "json_file", type=_FILE, help="Where to write the scores. [default: in the run's folder]")
@_file("--picture", type=_FILE, help="Where to draw the best and worst, a GAN's grid, a transfer's video. "
              "[default: in the run's folder]")  # fmt: skip
@_file("--calibrate", metavar="FILE", type=_FILE,
       help="Score nothing, but measure the likelihoods that detect gives, on images trained on, and write the model "
       "with them: for models that are older, imported, or of a stopped run.")  # fmt: skip
@overwrite_option
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Images at once.")
@click.option("--device", help="cpu, cuda, cuda:1 ... [default: cuda where there is one]")
def evaluate(
    *,
    run: str | None,
    gan_run: str | None,
    transfer_run: str | None,
    fid_weights: Path | None,
    witness: str | None,
    data: str | None,
    data_root: Path | None,
    landmarks: Path | None,
    fit_data: Path | None,
    fit_landmarks: Path | None,
    protocol: str | None,
    hold_out: int | None,
    max_fit: int | None,
    max_test: int | None,
    few_shot: list[int | None] | None,
    regressor: Path | None,
    json_file: Path | None,
    picture: Path | None,
    calibrate: Path | None,
    overwrite: bool,
    batch_size: int,
    device: str | None,
) -> None:
    """Score a learned graph against annotated landmarks, which training never sees, or a GAN, or a transfer network.

    A linear map from keypoints to landmarks is fitted on one split of the images and scored on the other. Without
    landmarks too, it is measured how well keypoints move with images that are shifted, turned and mirrored, and how
    much of the images' colours follows from their keypoints alone: the less, the more they are of the pose.
    RUN is a run's name or folder, or its weights, of any kind; without it the newest graph is taken. Files that are
    there already are replaced with --overwrite alone; those in the run's folder also by the same evaluation of the
    same weights.

    \b
    Examples:
      autolink-gen evaluate
      autolink-gen evaluate faces --data faces68 --data-root ~/data --json scores.json
      autolink-gen evaluate --data photos/test --fit-data photos/train --protocol cub
      autolink-gen evaluate faces --data faces68 --few-shot 1,5,10,50,all
      autolink-gen evaluate faces-hold5 --data faces68 --hold-out 5
      autolink-gen evaluate afhq
      autolink-gen evaluate --transfer voxceleb2
      autolink-gen evaluate old-birds --calibrate birds.safetensors
    """
    if calibrate is not None:
        _check_alone()
        report = verbs.calibrate_run(
            run,
            file=calibrate,
            data=data,
            data_root=data_root,
            max_images=max_fit,
            device=pick_device(device),
            overwrite=overwrite,
        )
        echo(*str(report).split("\n"))
        return
    run_folder = _one_run(run, gan_run, transfer_run)
    with option_errors():
        scores = verbs.evaluate(
            run_folder,
            data=data,
            data_root=data_root,
            landmarks=landmarks,
            fit_data=fit_data,
            fit_landmarks=fit_landmarks,
            protocol=protocol,
            hold_out=hold_out,
            max_fit=max_fit,
            max_test=max_test,
            few_shot=few_shot,
            witness=witness,
            fid_weights=fid_weights,
            out=run_folder.output("evaluation"),
            json=json_file,
            picture=picture,
            regressor=regressor,
            overwrite=overwrite,
            batch_size=batch_size,
            device=pick_device(device),
        )
    echo(*str(scores).split("\n"))


def _one_run(run: str | None, gan_run: str | None, transfer_run: str | None) -> "RunFolder":
    """The run that is named, or the newest graph; UsageError where several are named."""
    names = [(run, run), (gan_run, f"--gan {gan_run}"), (transfer_run, f"--transfer {transfer_run}")]
    named = [str(typed) for name, typed in names if name is not None]
    if len(named) > 1:
        raise click.UsageError(f"name one run: {', or '.join(named)}")
    kind: verbs.Kind | None = "gan" if gan_run else "transfer" if transfer_run else None
    return verbs.RunFolder.find(run or gan_run or transfer_run, kind=kind)


def _check_alone() -> None:
    """UsageError for options that --calibrate does not heed."""
    context = click.get_current_context()
    for option in context.command.params:
        is_given = context.get_parameter_source(str(option.name)) == ParameterSource.COMMANDLINE
        if is_given and option.expose_value and option.name not in _WITH_CALIBRATE:
            raise click.UsageError(f"{option.opts[0]} is for scores, and --calibrate gives none: leave one of them out")
