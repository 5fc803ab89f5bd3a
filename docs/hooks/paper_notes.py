"""What the code says of the paper: which function is which equation, and where it differs."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_tables import table

_PLACE = re.compile(r"(?:AutoLink[,:]? )?(eq\. [\d-]+|sec\. [\d.]*\d|Appendix [A-Z][\d.]*\d|Table \d+)")
_OTHERS = re.compile(r"\([A-Z][\w. ]+? (?:et al\. )?\d{4}[^)]*\)|StyleGAN2 (?:eq|sec)\. [\d.]+(?: and \d)?")
_ORDER = ("sec.", "eq.", "Table", "Appendix")
Documented = ast.Module | ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class Note:
    """A text of the code: the file it stands in, what it is about ("" is the whole file), and its words."""

    file: str
    name: str
    text: str


def sources(root: Path) -> list[Path]:
    """The files of the package."""
    return sorted((root / "autolink_gen").rglob("*.py"))


def docstrings(root: Path) -> Iterator[Note]:
    """Every docstring of the package."""
    for path in sources(root):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from _docstrings_of(tree, path.relative_to(root).as_posix(), names=())


def _docstrings_of(node: Documented, file: str, names: tuple[str, ...]) -> Iterator[Note]:
    if text := ast.get_docstring(node):
        yield Note(file, ".".join(names), text)
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            yield from _docstrings_of(child, file, (*names, child.name))


def comments(root: Path) -> Iterator[Note]:
    """Every comment of the package, lines that follow each other as one, with the function or class it stands in."""
    for path in sources(root):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        last = -1
        parts: list[tuple[int, list[str]]] = []
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                if token.start[0] != last + 1:
                    parts.append((token.start[0], []))
                parts[-1][1].append(token.string.lstrip("# "))
                last = token.start[0]
        for line, lines in parts:
            yield Note(path.relative_to(root).as_posix(), _name_at(tree, line), " ".join(lines))


def _name_at(tree: ast.Module, line: int) -> str:
    """The function or class that holds a line, by its whole name."""
    names: list[str] = []
    body: list[ast.stmt] = tree.body
    while inner := [
        node
        for node in body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.lineno <= line <= (node.end_lineno or 0)
    ]:
        names.append(inner[0].name)
        body = inner[0].body
    return ".".join(names)


def differences(root: Path) -> list[Note]:
    """What follows each `Differs:`, to the end of its paragraph."""
    notes = [*docstrings(root), *comments(root)]
    found = [
        Note(note.file, note.name, part)
        for note in notes
        for part in re.findall(r"Differs:\s+(.*?)(?=\n\s*\n|Differs:|\Z)", note.text, re.DOTALL)
    ]
    return sorted(found, key=lambda note: (note.file, note.name))


def equations(root: Path) -> list[tuple[str, Note]]:
    """The places of the paper that docstrings name, and the docstrings; other papers' places are left out."""
    found = []
    for note in docstrings(root):
        text = _OTHERS.sub("", " ".join(note.text.split()))
        found += [(place, note) for place in dict.fromkeys(_PLACE.findall(text))]
    return sorted(found, key=lambda pair: (_rank(pair[0]), pair[1].file, pair[1].name))


def _rank(place: str) -> tuple[int, str]:
    kind, _, number = place.partition(" ")
    return _ORDER.index(kind), number


def equations_table(root: Path) -> str:
    """Place in the paper, first sentence, function and file."""
    rows = [[place, _without_place(plain(note.text.split("\n\n")[0])), where(note)] for place, note in equations(root)]
    return table(["paper", "what it is", "where"], rows)


def differences_table(root: Path) -> str:
    """Function and file, difference."""
    return table(["where", "how it differs"], [[where(note), plain(note.text)] for note in differences(root)])


def where(note: Note) -> str:
    """The function or class of a note, and its file within the package."""
    file = f"`{note.file.removeprefix('autolink_gen/')}`"
    return f"`{note.name}`<br>{file}" if note.name else file


def _without_place(text: str) -> str:
    return re.sub(r"\s*\(AutoLink[^)]*\)", "", text)


def plain(text: str) -> str:
    """A docstring's words without its roles, names as code."""
    return re.sub(r":\w+:`([^`]+)`", r"`\1`", text).replace("``", "`")
