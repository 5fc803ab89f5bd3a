"""`autolink-gen export`: a run's networks in a format that other programs read."""

from pathlib import Path

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import command
from autolink_gen.cli.completion import runs_of
from autolink_gen.cli.options import echo, overwrite_option
from autolink_gen.common.progress import progress_bar


@command()
@click.argument("run", required=False, shell_complete=runs_of("graph", "gan", "transfer"))
@click.option("--kind", type=click.Choice(["graph", "gan", "transfer"]),
              help="Which model, where a name stands for several: puppets is the graph unless told.")  # fmt: skip
@click.option("--format", "file_format", type=click.Choice(["onnx"]), default="onnx", show_default=True,
              help="Format of the files.")  # fmt: skip
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
              help="Folder to write to. [default: onnx in the run's]")  # fmt: skip
@overwrite_option
def export(run: str | None, kind: "verbs.Kind | None", file_format: str, out: Path | None, overwrite: bool) -> None:
    """Write a run's networks as ONNX files, which other programs run without PyTorch.

    RUN is a run's name or folder, or its weights; without it the newest of the kind is taken, or the newest graph. Of
    each run the detector is written (detector.onnx); of a graph and a GAN what draws the graph (edge_map.onnx); of a
    GAN the generator (generator.onnx); of a transfer network what paints a source in another pose (transfer.onnx).

    Each file is run by onnxruntime on random inputs and compared with PyTorch; none is written unless all agree.
    Sizes, graph and version stand in their metadata. Needs pip install 'autolink-gen[onnx]'.

    \b
    Examples:
      autolink-gen export runs/gan/birds --out birds-onnx
      autolink-gen export puppets --kind transfer
    """
    echo(*str(verbs.export_onnx(run, kind=kind, out=out, overwrite=overwrite, progress=progress_bar)).split("\n"))
