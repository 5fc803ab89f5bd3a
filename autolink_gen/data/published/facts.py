"""What a user may want to know of the named sets, in words."""

from pathlib import Path

from autolink_gen.common.text import typed
from autolink_gen.data.published.places import expected_tree, folder_of_set
from autolink_gen.data.published.sets import SETS, Embedded, PictureSet, unknown_set
from autolink_gen.data.published.trees import shortened


def entry_of(name: str) -> Embedded | PictureSet:
    """The entry of a set; ValueError, which names near ones, where there is none of that name."""
    if name not in SETS:
        raise ValueError(unknown_set(name))
    return SETS[name]


def list_sets() -> list[str]:
    """A line for each set: its name and what it is."""
    return [f"{name:<16} {entry.about}" for name, entry in SETS.items()]


def describe_set(name: str, *, root: Path | None = None) -> list[str]:
    """What a set is, where it is to be had, how its files should lie, and whether it is in the data root.

    Raises ValueError where there is no such set.
    """
    entry = entry_of(name)
    lines = [f"{name}: {entry.about}"]
    if isinstance(entry, Embedded):
        return lines
    lines += _facts(name, entry)
    try:
        folder = folder_of_set(name, entry, root=root, split="train")
    except ValueError as error:
        return [*lines, f"here: no ({str(error).splitlines()[0]})"]
    given = f" --data-root {typed(root)}" if root else ""
    return [*lines, f"here: {folder}", f"next: autolink-gen learn-graph --data {name}{given}"]


def _facts(name: str, entry: PictureSet) -> list[str]:
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
