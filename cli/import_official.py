"""``autolink-gen import-official``: the authors' checkpoint to a run of ours."""

from pathlib import Path

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import command
from autolink_gen.cli.options import note, overwrite_option
from autolink_gen.cli.types import RunName


@command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--name", type=RunName(), help="Name of the run. [default: the checkpoint's]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder of all runs.",
)
@overwrite_option
def import_official(checkpoint: Path, name: str | None, out: Path, overwrite: bool) -> None:
    """Turn a Lightning checkpoint of the AutoLink authors into weights that every command here takes.

    The file is read without executing anything in it.

    \b
    Example:
      autolink-gen import-official celeba_wild_k8.ckpt --name celeba-wild
      autolink-gen detect photo.jpg --model celeba-wild
    """
    run = verbs.import_official(checkpoint, name=name, out=out, overwrite=overwrite)
    note(f"{run.num_keypoints} keypoints, {run.image_size} pixels, sigma2 {run.sigma2}", f"wrote {run.weights}")
