"""Lists, tables and arrays that published sets come with, landmark tables, and shards."""

import csv
import io
import tarfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
from fuzz_kinds import Kind, Sample
from helpers.published_trees import BUILDERS, celeba_h5
from kinds_pictures import change_png
from pickle_soup import change_pickle
from PIL import Image
from scipy.io import savemat
from structures import change_csv, change_json, change_tar, inside_tar

from autolink_gen.common.progress import no_progress
from autolink_gen.data.landmarks import match_images, read_landmarks_csv
from autolink_gen.data.published.prepare import prepare_set
from autolink_gen.data.published.sets import SETS, ImageSet
from autolink_gen.data.shards.reader import ShardImages, read_members

_SETS = ("celeba-aligned", "celeba-wild", "human36m", "deepfashion", "taichi", "cub-001", "flowers")
_PICTURES = (".jpg", ".png")
_H5 = "celeba-h5"


@cache
def _trees() -> dict[str, dict[str, bytes]]:
    """The files of each published set, by their names below the set's own root."""
    trees = {}
    for name, build in [(name, BUILDERS[name]) for name in _SETS] + [(_H5, celeba_h5)]:
        with TemporaryDirectory() as folder:
            build(Path(folder))
            files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            trees[name] = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return trees


def annotations() -> list[Sample]:
    """Every list, table and array of the sets; of many that are alike, the first."""
    found, alike = [], set()
    for name in _SETS:
        for file, content in _trees()[name].items():
            if not file.endswith(_PICTURES) and (name, content) not in alike:
                alike.add((name, content))
                found.append(Sample(f"{name}/{file}", content))
    return [*found, *_other_arrays()]


def _other_arrays() -> list[Sample]:
    """Arrays in forms that a reader may be led astray by."""
    rows = np.tile([0.25, 0.75], (32, 1))
    plain, packed, old = io.BytesIO(), io.BytesIO(), io.BytesIO()
    savemat(plain, {"trnid": [[2]], "tstid": [[1, 3]], "cell": np.array([[rows, "a"]], object)})
    savemat(packed, {"trnid": [[2]], "tstid": [[1, 3]], "s": {"a": 1, "b": [1, 2]}}, do_compression=True)
    savemat(old, {"trnid": [[2]], "tstid": [[1, 3]]}, format="4")
    return [Sample("flowers/flowers-102/setid.mat", file.getvalue()) for file in (plain, packed, old)]


def h5_files() -> list[Sample]:
    """The authors' file, and HDF5 files whose arrays lie in other files, are virtual, or declare more than there is."""
    found = [content for name, content in _trees()[_H5].items() if name.endswith(".h5")]
    for way in ("external", "storage", "virtual", "huge", "soft"):
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            for name in ("train", "mafl_train", "mafl_test"):
                file[f"{name}_landmark"] = np.ones((2, 5, 2), np.float32)
                picture, shape = f"{name}_img", (2, 3, 128, 128)
                if way == "external":
                    file[picture] = h5py.ExternalLink("beside/other.h5", "/x")
                elif way == "storage":
                    file.create_dataset(picture, shape, "u1", external=[("beside/secret.txt", 0, 98304)])
                elif way == "virtual":
                    layout = h5py.VirtualLayout(shape, "u1")
                    layout[:] = h5py.VirtualSource("beside/other.h5", "x", shape)
                    file.create_virtual_dataset(picture, layout)
                elif way == "huge":
                    file.create_dataset(picture, (2**30, 3, 128, 128), "u1", chunks=(1, 3, 128, 128))
                else:
                    file[picture] = h5py.SoftLink(f"/{picture}")
        found.append(buffer.getvalue())
    return [Sample(f"{_H5}/celeba_wild/celeba_wild.h5", content) for content in found]


def lay_sets(home: Path) -> None:
    """All sets, whole."""
    for name, files in _trees().items():
        for file, content in files.items():
            path = home / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _entry(home: Path, file: Path) -> tuple[str, ImageSet, Path]:
    root = home / file.relative_to(home).parts[0]
    name = "celeba-wild" if root.name == _H5 else root.name
    entry = SETS[name]
    assert isinstance(entry, ImageSet)
    return name, entry, root


def read_set(home: Path, file: Path) -> None:
    """The lists of the set that the file belongs to; no picture is decoded."""
    _, entry, root = _entry(home, file)
    layout = entry.layouts[0 if root.name == _H5 else -1]
    parts = layout.read(next(path for path in root.iterdir() if path.is_dir()), no_progress)
    for picture in (one for part in parts.values() for one in part):
        assert not Path(picture.name).is_absolute()
        assert ".." not in Path(picture.name).parts
        if isinstance(picture.source, Path):
            assert picture.source.resolve().is_relative_to(root.resolve()), picture.source
        else:
            assert picture.source().ndim == 3
        assert picture.points is None or not np.isinf(picture.points).any()


def prepare(home: Path, file: Path) -> None:
    """The set made ready: its pictures written."""
    name, entry, root = _entry(home, file)
    prepare_set(name, entry, root, size=16)


def tables() -> list[Sample]:
    """Landmark tables with numbers, with names, with marks of what is visible."""
    rows = ["a.png,p1,0.1,0.2,0.3,0.4,1,0", "b.png,p2,0.5,0.6,,,1,1", "c/d.png,p3,-1,0.2,nan,0.4,0,1"]
    texts = (
        "file,person,x0,y0,x1,y1,v0,v1\n" + "\n".join(rows) + "\n",
        "\ufefffile,left_eye_x,left_eye_y,left_eye_v\r\na.png,0.1,0.2,1\r\n'=b.png,0.3,0.4,0\r\n",
        'file,x0,y0\n"a,1.png",0.5,0.5\n"b ""x"".png",0.1,0.9\n',
    )
    return [Sample("landmarks.csv", text.encode()) for text in texts]


def lay_pictures(home: Path) -> None:
    """The pictures that the tables name."""
    for name in ("a.png", "b.png", "c/d.png"):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)


def read_table(home: Path, file: Path) -> None:
    """The landmarks and the pictures that they belong to."""
    table = read_landmarks_csv(file)
    assert not np.isinf(table.points).any()
    assert table.points.shape[:2] == table.visible.shape
    for path in match_images(table, home):
        assert path.resolve().is_relative_to(home.resolve()), path


def shards() -> list[Sample]:
    """Tar files of pictures in each form of tar."""
    buffer = io.BytesIO()
    Image.new("RGB", (20, 16), (9, 0, 0)).save(buffer, "PNG")
    picture = buffer.getvalue()
    files = {"000.png": picture, "000.txt": b"a caption", "a/001.png": picture, "b" * 150 + ".png": picture}
    found = [Sample("shard.tar", _tar(files, form)) for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]
    short = {"000.png": picture, "001.jpg": picture}
    return [*found, Sample("shard.tar", _tar(short, tarfile.USTAR_FORMAT)), *_odd_tars(picture)]


def _tar(files: dict[str, bytes], form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if form == tarfile.PAX_FORMAT:
                info.pax_headers = {"comment": "x" * 20, "mtime": "1.5"}
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _odd_tars(picture: bytes) -> list[Sample]:
    """A sparse file, links, and a header for all files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "all"}) as tar:
        for name, kind in (
            ("link.png", tarfile.SYMTYPE),
            ("hard.png", tarfile.LNKTYPE),
            ("pipe.png", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        sparse = tarfile.TarInfo("sparse.png")
        sparse.size = len(picture)
        sparse.pax_headers = {"GNU.sparse.map": "0,512", "GNU.sparse.size": "1048576", "GNU.sparse.name": "s.png"}
        tar.addfile(sparse, io.BytesIO(picture))
        last = tarfile.TarInfo("last.png")
        last.size = len(picture)
        tar.addfile(last, io.BytesIO(picture))
    return [Sample("odd.tar", buffer.getvalue())]


def read_shard(home: Path, file: Path) -> None:
    """The members, and the first picture as training takes it."""
    size = file.stat().st_size
    for member in read_members(file, name=str(file)):
        assert member.offset + member.size <= size
    pictures = ShardImages(file, image_size=8, cache_bytes=1000)
    assert pictures[0].shape == (3, 8, 8)


def _csv_tokens(words: Sequence[str]) -> tuple[bytes, ...]:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(words)
    return (b'"', b'""', b"\0", b",", b"\r\n", *(word.encode() for word in words))


_LIST_TOKENS = (b"../../stolen.jpg", b"/etc/passwd", b"\xd9\xa3", b"1e999", b"nan", b"-1", b"\x1b[31m", b"\0",
                b"a" * 300, b"C:\\x", b"99999999999999999999", b"\xe2\x80\xae", b"\x0b", b"\xc2\x85")  # fmt: skip
KINDS = (
    Kind("sets", annotations, read_set, mutators=(change_csv, change_json, change_pickle), tokens=_LIST_TOKENS,
         lay=lay_sets, cost_ms=4.0, structured=0.3),
    Kind("h5", h5_files, read_set, cost_ms=400.0, weight=0.1),  # each is tried in a process of its own
    Kind("prepare", annotations, prepare, mutators=(change_csv, change_json), tokens=_LIST_TOKENS, lay=lay_sets,
         writes=True, cost_ms=25.0, weight=0.5, structured=0.3),
    Kind("table", tables, read_table, mutators=(change_csv,), lay=lay_pictures, cost_ms=0.6,
         tokens=_csv_tokens(("file", "person", "x0", "y0", "v0", "x99999999", "left_eye_x", "left_eye_y", "nan"))),
    Kind("shard", shards, read_shard, mutators=(change_tar, change_tar, inside_tar(change_png)), cost_ms=1.0,
         weight=2.0,
         tokens=(b"ustar\x0000", b"ustar  \0", b"GNU.sparse.", b"99999999999 path=", b"17 size=99999999\n")),
)  # fmt: skip
