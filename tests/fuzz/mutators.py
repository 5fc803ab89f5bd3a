"""Damage to any file: bits, bytes, words, blocks, numbers in text, tokens."""

import re
from collections.abc import Callable, Sequence
from random import Random

MOST_BYTES = 400_000  # of an input: what is to be found is found in small ones

_WORDS = (0, 1, 2, 7, 8, 15, 16, 31, 32, 63, 64, 100, 127, 128, 255, 256, 511, 512, 1000, 1023, 1024, 4095, 4096, 8191,
          16383, 32767, 32768, 65535, 65536, 100_000, 999_999, 2**24 - 1, 2**24, 2**30, 2**31 - 1, 2**31, 2**32 - 1,
          2**33, 2**40, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
_NUMBERS = (b"0", b"-0", b"-1", b"1e999", b"-1e999", b"nan", b"NaN", b"Infinity", b"-inf", b"1e-320", b"0.1e1",
            b"99999999999999999999", b"-9223372036854775809", b"2147483648", b"65536", b"1" + b"0" * 5000, b"1_000",
            b"0x7fffffff", b"1.7976931348623157e308", b"", b"+", b"1e", b".5.", b"\xd9\xa3", b"\xef\xbc\x91",
            b"\xc2\xb2", b"\xe2\x91\xa0", b"true", b"null", b"'", b"190:20:30")  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def _place(draw: Random, data: bytes) -> int:
    """Where to change something: near the beginning, where headers are, as often as anywhere."""
    top = len(data) if draw.random() < 0.5 else min(len(data), 96)
    return draw.randrange(top) if top else 0


def _span(draw: Random, data: bytes) -> tuple[int, int]:
    start = _place(draw, data)
    length = draw.choice((1, 2, 4, 8, 16, 64, 512, 4096))
    return start, min(len(data), start + draw.randint(1, length))


def flip_bits(draw: Random, data: bytes) -> bytes:
    """Some bits turned."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 8, 64)) if data else 0):
        changed[_place(draw, data)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def set_bytes(draw: Random, data: bytes) -> bytes:
    """Some bytes replaced by others."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 32)) if data else 0):
        changed[_place(draw, data)] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
    return bytes(changed)


def set_word(draw: Random, data: bytes) -> bytes:
    """A word of 1 to 8 bytes replaced by a number on the edge of something."""
    size = draw.choice((1, 2, 2, 4, 4, 4, 8))
    word = word_of(draw, size)
    place = _place(draw, data)
    return data[:place] + word + data[place + size :]


def word_of(draw: Random, size: int, order: str | None = None) -> bytes:
    """A number on the edge of something, in so many bytes."""
    value = draw.choice(_WORDS) + draw.choice((0, 0, 0, 1, -1))
    chosen = order or draw.choice(("little", "big"))
    return (value % 256**size).to_bytes(size, "little" if chosen == "little" else "big")


def number_of(draw: Random) -> int:
    """A number on the edge of something."""
    return draw.choice(_WORDS) * draw.choice((1, 1, 1, -1)) + draw.choice((0, 0, 1, -1))


def cut(draw: Random, data: bytes) -> bytes:
    """The end left out."""
    return data[: draw.randint(0, len(data))]


def delete(draw: Random, data: bytes) -> bytes:
    """A block left out."""
    start, end = _span(draw, data)
    return data[:start] + data[end:]


def insert(draw: Random, data: bytes) -> bytes:
    """A block of noise, zeros or ones put in."""
    place = _place(draw, data)
    length = draw.choice((1, 2, 4, 16, 256, 5000))
    block = draw.choice((bytes(length), b"\xff" * length, draw.randbytes(length), b"(" * length, b"[" * length))
    return data[:place] + block + data[place:]


def duplicate(draw: Random, data: bytes) -> bytes:
    """A block repeated, perhaps many times."""
    start, end = _span(draw, data)
    return data[:end] + data[start:end] * draw.choice((1, 1, 2, 10, 200)) + data[end:]


def swap(draw: Random, data: bytes) -> bytes:
    """Two blocks in each other's place."""
    (a, b), (c, d) = sorted((_span(draw, data), _span(draw, data)))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:] if b <= c else data


def change_number(draw: Random, data: bytes) -> bytes:
    """A number written in text replaced by one that is huge, negative, not finite or in other digits."""
    window = _place(draw, data)
    found = _NUMBER.search(data, window) or _NUMBER.search(data)
    if found is None:
        return set_word(draw, data)
    new = draw.choice(_NUMBERS) if draw.random() < 0.7 else str(number_of(draw)).encode()
    return data[: found.start()] + new + data[found.end() :]


_GENERIC: tuple[Callable[[Random, bytes], bytes], ...] = (
    flip_bits, set_bytes, set_bytes, set_word, set_word, cut, delete, insert, duplicate, swap, change_number,
)  # fmt: skip


def splice(draw: Random, data: bytes, other: bytes) -> bytes:
    """The beginning of one file and the end of another."""
    return data[: draw.randint(0, len(data))] + other[draw.randint(0, len(other)) :]


def put_token(draw: Random, data: bytes, tokens: Sequence[bytes]) -> bytes:
    """A word of the format's own put in, or over what is there."""
    token, place = draw.choice(tokens), _place(draw, data)
    return data[:place] + token + data[place + (len(token) if draw.random() < 0.5 else 0) :]


def mutate(
    draw: Random,
    data: bytes,
    *,
    others: Sequence[bytes],
    own: Sequence[Callable[[Random, bytes], bytes]],
    tokens: Sequence[bytes],
    structured: float,
) -> bytes:
    """A file changed in one to some ways, by the ``own`` mutators of its kind as often as ``structured`` says."""
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 5))):
        if own and draw.random() < structured:
            data = _by_form(draw, data, draw.choice(own))
        elif tokens and draw.random() < 0.2:
            data = put_token(draw, data, tokens)
        elif draw.random() < 0.05:
            data = splice(draw, data, draw.choice(others))
        else:
            data = draw.choice(_GENERIC)(draw, data)
        data = data[:MOST_BYTES]
    return data


def _by_form(draw: Random, data: bytes, change: Callable[[Random, bytes], bytes]) -> bytes:
    """A change that keeps a form, or any where the form is too damaged for it."""
    try:
        return change(draw, data)
    except Exception:  # noqa: BLE001 - nested beyond the stack, say: it must not end the program
        return set_bytes(draw, data)
