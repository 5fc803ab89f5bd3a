"""What a message mentions, whatever its English: names, values and remedies, in any order."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

Thing = str | int | float | Path
Message = str | Result | BaseException | pytest.ExceptionInfo  # the string is a message, or a whole output


def assert_mentions(message: Message, *things: Thing | tuple[Thing, ...]) -> None:
    """The message mentions each thing; of a tuple, one alternative is enough.

    A thing stands between borders: ``12`` is not in "120", ``a.png`` not in "a.png.tmp", ``--fresh`` not in
    "--fresh-start", ``runs/one`` not in "runs/one/model". An integer may have commas: 1000 is in "1,000". Letters alone
    match in either case, a star at the end stands for any ending: ``learn*`` is in "Learned".
    """
    __tracebackhide__ = True
    text = text_of(message)
    if missing := _missing(text, things):
        raise AssertionError(f"not mentioned:\n{_named(missing)}\nin the message:\n{text}")


def assert_line_mentions(output: Message | Sequence[str], *things: Thing | tuple[Thing, ...]) -> None:
    """One and the same line of an output, or of a log's messages, mentions each thing."""
    __tracebackhide__ = True
    lines = text_of(output).splitlines() if isinstance(output, Message) else list(output)
    if all(_missing(line, things) for line in lines or [""]):
        raise AssertionError(f"no line mentions all of:\n{_named(things)}\nin:\n" + "\n".join(lines))


@contextmanager
def raises_mentioning(
    error: type[BaseException] | tuple[type[BaseException], ...], *things: Thing | tuple[Thing, ...]
) -> Iterator[pytest.ExceptionInfo]:
    """The block raises this error, and its message mentions each thing."""
    __tracebackhide__ = True
    with pytest.raises(error) as raised:
        yield raised
    assert_mentions(raised, *things)


def one_line(result: Result, *, exit_code: int = 1) -> str:
    """The message of a command that ended with one line `Error: ...` as its last, and with no traceback."""
    __tracebackhide__ = True
    errors = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert result.exit_code == exit_code, f"exit code {result.exit_code}, not {exit_code}:\n{result.output}"
    assert isinstance(result.exception, SystemExit), f"{result.exception!r} left the command"
    assert "Traceback" not in result.output, result.output
    assert len(errors) == 1, f"{len(errors)} lines of errors:\n{result.output}"
    assert result.output.splitlines()[-1] == errors[0], f"the error is not the last line:\n{result.output}"
    return errors[0].removeprefix("Error: ")


def text_of(message: Message) -> str:
    """The text of an error, of what a command printed, or of a string."""
    if isinstance(message, Result):
        return message.output
    return str(message.value if isinstance(message, pytest.ExceptionInfo) else message)


def is_mentioned(text: str, thing: Thing) -> bool:
    """Whether the thing stands in the text between borders of its own."""
    word = str(thing)
    stem = word.removesuffix("*")
    if not stem.strip():
        raise ValueError(f"{word!r} is in every message")
    if isinstance(thing, int) and not isinstance(thing, bool) and abs(thing) >= 1000:
        return is_mentioned(text, word) or is_mentioned(text, f"{thing:,}")
    pattern = r"\s+".join(re.escape(part) for part in stem.split())
    before = r"(?<![\w-])(?<!\w\.)" + (r"(?<!\d,)" if stem[0].isdigit() else "")
    after = r"(?!\w|[-./\\]\w|,\d{3}(?!\d))" if stem[-1].isalnum() or stem[-1] == "_" else ""
    letters_alone = all(letter.isalpha() or letter.isspace() for letter in stem)
    found = re.search(
        (before if stem[0].isalnum() or stem[0] in "-_" else "") + pattern + ("" if word.endswith("*") else after),
        text,
        re.IGNORECASE if letters_alone else 0,
    )
    return found is not None


def _missing(text: str, things: Sequence[Thing | tuple[Thing, ...]]) -> list[Thing | tuple[Thing, ...]]:
    if not things:
        raise ValueError("things is empty: name what the message must mention")
    return [thing for thing in things if not any(is_mentioned(text, one) for one in _alternatives(thing))]


def _named(things: Sequence[Thing | tuple[Thing, ...]]) -> str:
    return "\n".join(f"  {' or '.join(repr(str(one)) for one in _alternatives(thing))}" for thing in things)


def _alternatives(thing: Thing | tuple[Thing, ...]) -> tuple[Thing, ...]:
    return thing if isinstance(thing, tuple) else (thing,)
