"""``autolink-gen import-official``: the authors' checkpoint to a run of ours."""

from pathlib import Path

import click

from autolink_gen.cli.options import RunName, echo, overwrite_option


@click.command()
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
    from autolink_gen.checkpoints import WEIGHTS_NAME, save_model
    from autolink_gen.official import read_official
    from autolink_gen.training.folders import check_importable
    from autolink_gen.training.naming import run_name

    target = out / "graph" / (name or run_name(checkpoint.stem)) / WEIGHTS_NAME
    check_importable(target.parent, overwrite=overwrite)
    model = read_official(checkpoint)
    save_model(target, model)
    config = model.config
    echo(f"{config.num_keypoints} keypoints, {config.image_size} pixels, sigma2 {config.sigma2}")
    echo(f"wrote {target}")
