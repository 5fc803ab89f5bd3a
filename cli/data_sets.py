"""``autolink-gen data info`` and ``data prepare``: the named sets, and what makes published ones ready."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from autolink_gen.cli.options import echo, overwrite_option
from autolink_gen.common.progress import progress_bar
from autolink_gen.common.text import counted, typed

if TYPE_CHECKING:
    from autolink_gen.data.published.prepare import PreparedPart
    from autolink_gen.data.published.sets import Embedded, PictureSet

_ROOT = click.option("--data-root", type=click.Path(path_type=Path), help="The folder where named data sets lie.")


@click.command(short_help="Say what a named data set is and how its files should lie.")
@click.argument("name", required=False)
@_ROOT
def info(name: str | None, data_root: Path | None) -> None:
    """Say what a data set is, where to get it, under what licence, and how its files should lie; or list all sets.

    \b
    Examples:
      autolink-gen data info
      autolink-gen data info celeba-wild --data-root ~/data
    """
    from autolink_gen.data.published.sets import SETS, PictureSet

    if name is None:
        for known, entry in SETS.items():
            echo(f"{known:<16} {entry.about}")
        return
    entry = _entry(name)
    echo(f"{name}: {entry.about}")
    if not isinstance(entry, PictureSet):
        return
    for line in _facts(name, entry):
        echo(line)
    from autolink_gen.data.source import open_source

    given = f" --data-root {typed(data_root)}" if data_root else ""
    try:
        folder = open_source(name, root=data_root).folder()
    except ValueError as error:
        echo(f"here: no ({str(error).splitlines()[0]})")
    else:
        echo(f"here: {folder}", f"next: autolink-gen learn-graph --data {name}{given}")


@click.command(short_help="Make a published set ready, as the paper's protocol needs it.")
@click.argument("name")
@_ROOT
@click.option("--size", type=int, default=128, show_default=True, help="Width and height of the pictures in pixels.")
@click.option("--download", is_flag=True, help="Fetch the set first, where torchvision knows it.")
@overwrite_option
def prepare(name: str, data_root: Path | None, size: int, download: bool, overwrite: bool) -> None:
    """Make a published set ready: its parts by the published split, cut out and small, with tables of landmarks.

    Written to prepared/NAME in the data root; what is there is kept, so that repeating the command goes on. With
    another --size, --overwrite makes the pictures anew.

    \b
    Example:
      autolink-gen data prepare celeba-wild --data-root ~/data
    """
    from autolink_gen.data.published.places import existing_root
    from autolink_gen.data.published.prepare import download_set, prepare_set
    from autolink_gen.data.published.sets import PictureSet

    entry = _entry(name)
    if not isinstance(entry, PictureSet) or not entry.layouts:
        raise click.UsageError(f"{name} needs no preparing: give it to --data as it is")
    base, _ = existing_root(name, data_root, make=download)
    if download:
        download_set(entry, base)
    try:
        parts = prepare_set(name, entry, base, size=size, overwrite=overwrite, progress=progress_bar)
    except KeyboardInterrupt:
        echo("repeat the command to go on")
        raise
    for part in parts:
        for line in _lines(part, entry.counts.get(part.name)):
            echo(line)
    trains = any(part.name == "train" for part in parts)
    command = "learn-graph" if trains else "evaluate"
    echo(f"next: autolink-gen {command} --data {name} --data-root {typed(base)}")


def _entry(name: str) -> "Embedded | PictureSet":
    from autolink_gen.data.published.sets import SETS, unknown_set

    if name not in SETS:
        raise click.BadParameter(unknown_set(name), param_hint="NAME")
    return SETS[name]


def _facts(name: str, entry: "PictureSet") -> list[str]:
    from autolink_gen.data.published.places import expected_tree
    from autolink_gen.data.published.trees import shortened

    pairs = [("get it from", entry.where), ("licence", entry.licence), ("size", entry.size), ("form", entry.form)]
    lines = [f"{title}: {text}" for title, text in pairs if text]
    if entry.counts:
        lines.append("published parts: " + ", ".join(f"{part} {count:,}" for part, count in entry.counts.items()))
    folders = " or ".join(dict.fromkeys([name, *entry.homes]))
    lines.append(f"expected in the data root, in a folder {folders}:")
    direct = [expected_tree(entry, split).replace("\n", " or") for split in ("train", "test") if entry.train]
    lines += dict.fromkeys(direct)
    for number, layout in enumerate(entry.layouts):
        lines += ["or:"] if number else ["and, with landmarks:"] if direct else []
        lines += [f"  {line}" for line in shortened(layout.tree)]
    if entry.layouts:
        lines.append(f"made ready by: autolink-gen data prepare {name}{' --download' if entry.torchvision else ''}")
    if entry.protocol:
        lines.append(f"protocol of evaluate: {entry.protocol}")
    return lines


def _lines(part: "PreparedPart", published: int | None) -> list[str]:
    kept = f", {part.were_there} of them there before" if part.were_there else ""
    lines = [f"{part.name}: {counted(part.total, 'picture')} in {part.folder}{kept}"]
    if published is not None:
        agrees = "as published" if part.total == published else f"published: {published:,}; this is another selection"
        lines.append(f"  {agrees}")
    if part.removed:
        lines.append(f"  {counted(part.removed, 'picture')} of an earlier call removed: the set lists them no more")
    if part.errors:
        lines.append(f"  {counted(len(part.errors), 'picture')} could not be read: {part.errors[0]}")
    return lines
