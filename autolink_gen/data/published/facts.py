"""Facts about the named data sets, as text."""

from pathlib import Path

from autolink_gen.common.text import typed
from autolink_gen.data.published.places import expected_tree, folder_of_set
from autolink_gen.data.published.sets import SETS, Embedded, ImageSet, unknown_set
from autolink_gen.data.published.trees import shorten_tree


def entry_of(name: str) -> Embedded | ImageSet:
    """The entry of a set; ValueError, which names near ones, where there is none of that name."""
    if name not in SETS:
        raise ValueError(unknown_set(name))
    return SETS[name]


def list_sets() -> list[str]:
    """One line for each set: name and description."""
    return [f"{name:<16} {entry.about}" for name, entry in SETS.items()]


def describe_set(name: str, *, root: Path | None = None) -> list[str]:
    """A set's description, source, expected files, and whether it is in the data root.

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
    root_option = f" --data-root {typed(root)}" if root else ""
    return [*lines, f"here: {folder}", f"next: autolink-gen learn-graph --data {name}{root_option}"]


def _facts(name: str, entry: ImageSet) -> list[str]:
    pairs = [("get it from", entry.where), ("licence", entry.licence), ("size", entry.size), ("form", entry.form)]
    lines = [f"{title}: {text}" for title, text in pairs if text]
    if entry.counts:
        lines.append("published splits: " + ", ".join(f"{split} {count:,}" for split, count in entry.counts.items()))
    folders = " or ".join(dict.fromkeys([name, *entry.homes]))
    lines.append(f"expected in the data root, in a folder {folders}:")
    direct = [expected_tree(entry, split).replace("\n", " or") for split in ("train", "test") if entry.train]
    lines += dict.fromkeys(direct)
    for number, layout in enumerate(entry.layouts):
        lines += ["or:"] if number else ["and, with landmarks:"] if direct else []
        lines += [f"  {line}" for line in shorten_tree(layout.tree)]
    if entry.layouts:
        lines.append(f"made ready by: autolink-gen data prepare {name}{' --download' if entry.torchvision else ''}")
    if entry.protocol:
        lines.append(f"protocol of evaluate: {entry.protocol}")
    return lines
