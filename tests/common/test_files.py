import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers.messages import raises_mentioning
from PIL import Image

from autolink_gen.common import files
from autolink_gen.common.files import (
    UnfinishedFile,
    check_free,
    folder_beside,
    no_space,
    sync_file,
    temporary_beside,
    whole,
    write_image,
    write_text_atomically,
)
from autolink_gen.common.streams import standard_output
from autolink_gen.data.video.writer import VideoWriter


def test_what_is_there_already_is_named_and_replaced_only_on_demand(tmp_path: Path) -> None:
    kept, new = tmp_path / "kept.csv", tmp_path / "new.csv"
    kept.write_text("mine")
    with raises_mentioning(ValueError, "kept.csv", "already", "--json", "--overwrite"):
        check_free(new, kept, overwrite=False, option="--json")
    check_free(new, kept, overwrite=True)
    check_free(new, Path("/dev/null"), overwrite=False)
    assert kept.read_text() == "mine" and not new.exists()


def test_what_no_file_can_be_written_to_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, reason in [("folder", "is a folder"), ("file/a/b.csv", "file is a file and no folder"), ("loop", "link")]:
        with pytest.raises(ValueError, match=f"{name.split('/')[-1]} .*{reason}.*--out"):
            check_free(tmp_path / name, overwrite=True)
    (tmp_path / "dangling").symlink_to(tmp_path / "new/later")  # nothing is lost there
    check_free(tmp_path / "dangling", tmp_path / "a/b/c.csv", overwrite=False)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(ValueError, match="link is there already"):
        check_free(tmp_path / "link", overwrite=False)


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "scores.json").symlink_to("far/scores.json")
    (tmp_path / "picture.png").symlink_to(tmp_path / "far/new/picture.png")  # leads to nothing yet
    for text in ("one", "two"):
        write_text_atomically(tmp_path / "scores.json", text)
        assert (tmp_path / "scores.json").is_symlink() and (tmp_path / "far/scores.json").read_text() == text
    write_image(tmp_path / "picture.png", np.full((2, 3, 3), 7, np.uint8))
    assert Image.open(tmp_path / "far/new/picture.png").size == (3, 2) and (tmp_path / "picture.png").is_symlink()
    assert sorted(path.name for path in tmp_path.rglob("*") if not path.is_dir()) == sorted(
        ["scores.json", "scores.json", "picture.png", "picture.png"]
    )
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match=r"could not write .*loop"):
        write_text_atomically(tmp_path / "loop", "text")


def test_a_link_in_a_folder_of_our_own_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "config.yaml").symlink_to(tmp_path / "mine")
    write_text_atomically(tmp_path / "config.yaml", "ours", follow_links=False)
    assert (tmp_path / "mine").read_text() == "mine" and not (tmp_path / "config.yaml").is_symlink()


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    read: dict[str, bytes] = {}

    def reader(path: Path) -> None:
        read[path.name] = path.read_bytes()

    for name in ("text", "picture.png"):
        os.mkfifo(tmp_path / name)
        thread = threading.Thread(target=reader, args=(tmp_path / name,), daemon=True)
        thread.start()
        check_free(tmp_path / name, overwrite=False)
        if name == "text":
            write_text_atomically(tmp_path / name, "vögel\n")
        else:
            write_image(tmp_path / name, np.full((2, 3, 3), 7, np.uint8))
        thread.join(10)
        assert stat.S_ISFIFO((tmp_path / name).stat().st_mode)
    assert read["text"] == "vögel\n".encode()
    assert np.asarray(Image.open(BytesIO(read["picture.png"]))).tolist() == [[[7, 7, 7]] * 3] * 2


@pytest.mark.parametrize("path", ["-", "/dev/stdout", "/proc/self/fd/1", "/dev/fd/1"])
def test_the_standard_output_keeps_what_it_holds(tmp_path: Path, path: str) -> None:
    program = (
        "import sys; from pathlib import Path; from autolink_gen.common.files import write_text_atomically\n"
        f"print('before'); write_text_atomically(Path({path!r}), 'scores\\n'); print('after')"
    )
    with (tmp_path / "all.txt").open("wb") as output:
        subprocess.run([sys.executable, "-c", program], stdout=output, check=True, cwd=tmp_path)
    assert (tmp_path / "all.txt").read_text() == "before\nscores\nafter\n"
    assert [one.name for one in tmp_path.iterdir()] == ["all.txt"] and standard_output(Path(path))


def test_a_device_stays_one_and_a_full_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A link, lest the machine's own device be lost where this fails.
    for device in ("null", "full"):
        (tmp_path / device).symlink_to(f"/dev/{device}")
    write_text_atomically(tmp_path / "null", "text")
    with raises_mentioning(OSError, tmp_path / "full", "No space left on device", "free") as caught:
        write_text_atomically(tmp_path / "full", "text")
    assert no_space(caught.value) and not no_space(ValueError("other"))
    for device in ("null", "full"):
        assert stat.S_ISCHR((tmp_path / device).stat().st_mode) and (tmp_path / device).is_symlink()


def test_a_new_file_has_the_usual_mode_and_a_replaced_one_keeps_its_own(tmp_path: Path) -> None:
    usual, mine = tmp_path / "usual", tmp_path / "mine"
    before = os.umask(0o027)
    try:
        write_text_atomically(usual, "text")
        mine.write_text("old")
        mine.chmod(0o604)
        write_text_atomically(mine, "new")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (usual, mine)] == [0o640, 0o604]
    assert mine.read_text() == "new"


@pytest.mark.parametrize(
    ("name", "things"), [("folder", ("folder", "name")), ("file/below", ("file", "folder", "needed"))]
)
def test_the_remedy_is_one_that_helps(tmp_path: Path, name: str, things: tuple[str, ...]) -> None:
    (tmp_path / "folder/inner").mkdir(parents=True)
    (tmp_path / "file").write_text("mine")
    for follow in (True, False):
        with raises_mentioning(OSError, tmp_path / name, *things) as caught:
            write_text_atomically(tmp_path / name, "text", follow_links=follow)
        assert "space" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "inner"]


@pytest.mark.parametrize("name", ["n" * 245, "ü" * 125 + ".json", "n" * 255, os.fsdecode(b"caf\xe9.json")])
def test_any_name_that_the_system_takes_is_written(tmp_path: Path, name: str) -> None:
    temporary = temporary_beside(tmp_path / name)
    assert len(os.fsencode(temporary.name)) <= 255 and temporary.name.encode("utf-8").startswith(b".")
    write_text_atomically(tmp_path / name, "text")
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_names_that_begin_alike_have_temporaries_of_their_own() -> None:
    assert temporary_beside(Path("n" * 250)) != temporary_beside(Path("n" * 249 + "m"))
    assert temporary_beside(Path("a/b.csv")) == Path(f"a/.b.csv.{os.getpid()}.tmp")


def test_what_is_synchronised_may_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synchronised = []

    def as_on_windows(handle: int) -> None:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        synchronised.append(handle)

    (tmp_path / "save").write_bytes(b"content")
    monkeypatch.setattr("os.fsync", as_on_windows)
    sync_file(tmp_path / "save")
    assert len(synchronised) == 1 and (tmp_path / "save").read_bytes() == b"content"


def test_a_file_that_a_reader_holds_for_a_moment_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, tries = Path.replace, []

    def replace(path: Path, target: Path) -> Path:
        tries.append(path)
        if len(tries) < 3:
            raise PermissionError(errno.EACCES, "Access is denied")
        return plain(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(files, "_IS_WINDOWS", True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    write_text_atomically(tmp_path / "a.txt", "text")
    assert len(tries) == 3 and (tmp_path / "a.txt").read_text() == "text"


def test_a_file_system_that_synchronises_no_folders_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        plain(handle)

    monkeypatch.setattr("os.fsync", fsync)
    write_text_atomically(tmp_path / "a.txt", "text")
    assert (tmp_path / "a.txt").read_text() == "text"


def test_what_is_not_finished_leaves_the_old_and_nothing_hidden(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    unfinished = UnfinishedFile(tmp_path / "b.txt")
    unfinished.temporary.write_text("half")
    unfinished.discard()
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_video_is_written_as_other_files_are(tmp_path: Path) -> None:
    long, link, frame = tmp_path / f"{'v' * 246}.gif", tmp_path / "link.gif", np.zeros((16, 16, 3), np.uint8)
    link.symlink_to(tmp_path / "far.gif")
    for path in (long, link):
        with VideoWriter(path, fps=10) as writer:
            writer.write(frame)
        assert Image.open(path).size == (16, 16)
    assert link.is_symlink() and sorted(one.name for one in tmp_path.iterdir()) == ["far.gif", "link.gif", long.name]
    (tmp_path / "folder.gif").mkdir()
    said = raises_mentioning(OSError, "folder.gif", "folder", "name")
    with said, VideoWriter(tmp_path / "folder.gif", fps=10) as writer:
        writer.write(frame)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_that_is_filled_beside_is_gone_at_the_end_and_what_was_moved_out_stays(tmp_path: Path) -> None:
    left = temporary_beside(tmp_path / "sub" / "step")
    left.mkdir(parents=True)
    (left / "of a killed process").touch()
    with folder_beside(tmp_path / "sub" / "step") as folder:
        assert folder.parent == tmp_path / "sub" and folder.name.startswith(".") and not list(folder.iterdir())
        (folder / "a.tar").write_text("a")
        (folder / "b.tar").write_text("b")
        (folder / "a.tar").replace(tmp_path / "a.tar")
    assert [(one.name, one.is_dir()) for one in sorted(tmp_path.iterdir())] == [("a.tar", False), ("sub", True)]
    assert not list((tmp_path / "sub").iterdir())


@pytest.mark.parametrize("sync", [True, False])
def test_a_file_is_brought_to_the_disk_before_it_is_read_back_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool
) -> None:
    seen: list[str] = []
    path = tmp_path / "a.txt"
    monkeypatch.setattr(files, "sync_file", lambda file: seen.append(f"synced, there: {path.exists()}"))
    monkeypatch.setattr(files, "sync_folder", lambda folder: seen.append(f"folder, there: {path.exists()}"))
    with whole(path, check=lambda file: seen.append(f"checked {file.read_text()}"), sync=sync) as temporary:
        temporary.write_text("new")
    checked = ["checked new"]
    assert seen == (["synced, there: False", *checked, "folder, there: True"] if sync else checked)
    assert path.read_text() == "new"
