"""Lists of the images below a folder."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from autolink_gen.common.files import expand_user
from autolink_gen.common.text import shown

NaturalKey = tuple[tuple[tuple[str | tuple[int, str], ...], str], ...]

_DIGITS = re.compile(r"(\d+)")

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif")
_DEVELOP = "develop it with the camera maker's program, darktable or RawTherapee, and save JPEG or PNG"
_CONVERT = "convert it (`magick mogrify -format png`)"
_DRAW = "draw it as pixels (`rsvg-convert`, Inkscape) and save PNG"
# Images that are not read here: the suffix, and what makes one that is.
UNREADABLE_IMAGE_SUFFIXES = (
    *((suffix, "convert it (`magick mogrify -format jpg`), or have the telephone save \"most compatible\" files")
      for suffix in (".heic", ".heif", ".hif")),
    *((suffix, _DEVELOP)
      for suffix in (".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2",
                     ".pef", ".srw", ".raw", ".3fr", ".iiq", ".x3f")),
    *((suffix, _CONVERT)
      for suffix in (".psd", ".psb", ".xcf", ".jp2", ".j2k", ".jpx", ".jxl", ".jxr", ".wdp", ".exr", ".hdr", ".tga",
                     ".dds", ".ico", ".icns", ".pcx", ".ppm", ".pgm", ".pbm", ".pnm", ".qoi", ".sgi", ".fits")),
    *((suffix, _DRAW) for suffix in (".svg", ".svgz", ".eps", ".ai", ".wmf", ".emf")),
)  # fmt: skip


def walk_files(folder: str | Path) -> Iterator[Path]:
    """Every file below a folder, in no order; skips hidden files and folders, follows each link once."""
    visited: set[Path] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = Path(parent).resolve()
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        yield from (Path(parent, name) for name in files if not name.startswith("."))


def natural_key(path: str | Path) -> NaturalKey:
    """The key that sorts paths naturally, 2.png before 10.png, by the text and numbers in names.

    The order is total: names whose numbers are the same, as 1.png and 01.png, follow as plain text. Digits of every
    script count, and a number may be of any length.
    """
    return tuple((_text_and_numbers(part), part) for part in Path(path).parts)


def _text_and_numbers(name: str) -> tuple[str | tuple[int, str], ...]:
    """Text and numbers by turns, text first."""
    pieces = _DIGITS.split(name)
    # A digit after the text is compared with other names' text as one: a.png stays before a1.png.
    texts = [piece + "0" for piece in pieces[:-1:2]] + [pieces[-1]]
    return tuple(_number(piece) if place % 2 else texts[place // 2] for place, piece in enumerate(pieces))


def _number(digits: str) -> tuple[int, str]:
    """A number's length and its digits, in the place of its value, which takes long to make of many digits."""
    plain = "".join(str(int(digit)) for digit in digits).lstrip("0")
    return len(plain), plain


def is_image(path: Path) -> bool:
    """Whether the name ends in one of `IMAGE_SUFFIXES`, in upper or lower case."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def check_folder(folder: str | Path) -> Path:
    """The folder as a path; ValueError when it is missing or is a file."""
    folder = expand_user(folder)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ValueError(f"{folder} is a file, not a folder; give the folder that holds the images")
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    raise ValueError(f"there is no folder {folder}: {above} exists, the rest does not; check the spelling")


def list_images(folder: str | Path) -> list[Path]:
    """The images below a folder, at any depth, sorted by path.

    An image is a file with one of `IMAGE_SUFFIXES`, in upper or lower case; hidden files do not count.

    Raises:
        ValueError: the folder is missing, is a file, or holds no image.
    """
    return split_images(folder)[0]


def split_images(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """The images below a folder, as `list_images` gives them, and the other files, in no order; raises as it does."""
    folder = check_folder(folder)
    images: list[Path] = []
    others: list[Path] = []
    for path in walk_files(folder):
        (images if is_image(path) else others).append(path)
    if not images:
        raise ValueError(_no_images(folder, others))
    return sorted(images), others


def count_suffixes(paths: Iterable[Path]) -> dict[str, int]:
    """How many files there are of each suffix, in lower case or "no suffix", most frequent first."""
    counts = Counter(path.suffix.lower() or "no suffix" for path in paths)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def kinds_of(paths: Iterable[Path]) -> str:
    """The five most frequent suffixes in words, "3 x .txt, 1 x .png", or "nothing"."""
    counts = list(count_suffixes(paths).items())[:5]
    return ", ".join(f"{count} x {shown(suffix, most=20)}" for suffix, count in counts) or "nothing"


def beside_hidden(folder: Path) -> str:
    """The reason why no file is found in a folder: it is empty, or all files are hidden."""
    hidden = sum(len(files) for _, _, files in os.walk(folder))
    if not hidden:
        return "it is empty"
    return f"it holds {hidden} file(s), which are hidden or lie in hidden folders: their names begin with a dot"


def _no_images(folder: Path, files: list[Path]) -> str:
    suffixes = ", ".join(IMAGE_SUFFIXES)
    if not files:
        return f"no images in {folder}: {beside_hidden(folder)}; put {suffixes} files there or give another folder"
    kinds = {path.suffix.lower() for path in files}
    remedy = next((why for suffix, why in UNREADABLE_IMAGE_SUFFIXES if suffix in kinds), "unpack or convert them")
    return (
        f"no images in {folder}: looked for {suffixes} at any depth and found {len(files)} other file(s) "
        f"({kinds_of(files)}); {remedy}, or give another folder"
    )
