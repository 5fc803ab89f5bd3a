"""Digests of files."""

import hashlib
from pathlib import Path

_BLOCK_BYTES = 2**20


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
