"""Untrusted text made safe for terminals, tables and messages; names of runs."""

import reprlib
import shlex
import unicodedata

MAX_SHOWN = 200  # characters of a value in a message
MOST_NAME_BYTES = 200  # of a run: of the 255 that a file's name may have, as ".old1" and the like are put behind it
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet take a cell for a formula
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format (that turn the writing direction, say), lone surrogates


def printable(text: str, *, keep: str = "") -> str:
    r"""The text with control characters escaped, except those to ``keep``."""
    if text.isprintable():
        return text
    return "".join(
        _escape(character) if character not in keep and unicodedata.category(character) in _UNSAFE else character
        for character in text
    )


def unicode_text(text: str) -> str:
    r"""The text with bytes that are no UTF-8 escaped, as in ``\udcff``.

    No file in UTF-8 can hold it, and strict readers of JSON refuse it there.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def shown(value: object, *, most: int = MAX_SHOWN) -> str:
    """An untrusted value as messages show it, cut in length, depth and items."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = most
    try:
        text = printable(value if isinstance(value, str) else short.repr(value))
    except ValueError:  # a number of more digits than Python writes
        text = f"a number of type {type(value).__name__}"
    return text if len(text) <= most else text[: most - 3] + "..."


def typed(path: object) -> str:
    """A path quoted for a shell, for the commands that messages suggest.

    What would control the terminal stands in the quotes $'...' of bash, zsh and others, so that the name stays itself.
    """
    text = f"./{path}" if str(path).startswith("-") else str(path)
    if printable(text) == text:
        return shlex.quote(text)
    escaped = (
        character if character.isprintable() and character not in "'\\" else _in_bytes(character) for character in text
    )
    return f"$'{''.join(escaped)}'"


def _in_bytes(character: str) -> str:
    # In octal: after hexadecimal digits some shells take the next character for one more.
    errors = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", errors))


def to_cell(text: str) -> str:
    """Text as a CSV cell: printable, with a ' before text that looks like a formula."""
    cell = printable(text)
    return f"'{cell}" if _is_formula(cell) else cell


def from_cell(cell: str) -> str:
    """What :func:`to_cell` made a cell of, but for control characters."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


def _is_formula(cell: str) -> bool:
    """Whether it begins as a formula does, or as one that is quoted already."""
    return cell.lstrip("'").startswith(_FORMULA)


def why_no_run_name(text: str) -> str:
    """Why a text cannot name a run's folder on every system; empty if it can."""
    size = len(text.encode(errors="surrogateescape"))
    if text in ("", ".", "..") or "/" in text or "\0" in text:
        return f"{shown(text)!r} is no name of one folder: give a name alone, and its place by --out"
    if text != text.rstrip(" .") or any(ord(character) < 32 for character in text):
        return f"{shown(text)!r} has dots or blanks at its end, or control characters: leave them out"
    if size > MOST_NAME_BYTES:
        return f"{shown(text)} has {size} bytes: give a name of {MOST_NAME_BYTES} at most"
    return ""


def counted(number: int, thing: str) -> str:
    """ "1 image", "2 images"."""
    return f"{number} {thing}" + ("" if number == 1 else "s")
