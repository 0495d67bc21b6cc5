"""A folder or an archive in the place of a notebook: opened without a trace, and never for more than a notebook."""

from __future__ import annotations

import io
import os
import tarfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from grader.errors import NothingToGrade
from grader.submission import archives
from grader.submission.reading import read_submission
from tests.conftest import notebook

GOOD = notebook("x = 1").encode()
MODES = {".tar": "w", ".tar.gz": "w:gz", ".tar.xz": "w:xz", ".tar.bz2": "w:bz2"}


def packed(suffix: str, members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    if suffix == ".zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, data in members.items():
                zipped.writestr(name, data)
        return out.getvalue()
    with tarfile.open(fileobj=out, mode=MODES[suffix]) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def read(path: Path, data: bytes):
    path.write_bytes(data)
    return read_submission(path)


@pytest.mark.parametrize("suffix", [".zip", *MODES])
def test_the_one_notebook_is_graded(tmp_path, suffix):
    members = {
        "hw3/homework.ipynb": GOOD,
        "hw3/README.md": b"hello",
        "__MACOSX/hw3/._homework.ipynb": b"junk",
        "hw3/.ipynb_checkpoints/homework-checkpoint.ipynb": GOOD,
    }
    found = read(tmp_path / f"hand_in{suffix}", packed(suffix, members))
    assert [cell.source for cell in found.cells] == ["x = 1"]
    assert any("homework.ipynb" in warning for warning in found.warnings)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"hand_in{suffix}"]


@pytest.mark.parametrize("suffix", [".zip", *MODES])
@pytest.mark.parametrize("name", ["../../escape.ipynb", "/tmp/absolute.ipynb", "C:\\x\\y.ipynb"])
def test_paths_lead_nowhere_since_nothing_is_written(tmp_path, suffix, name):
    try:
        found = read(tmp_path / f"a{suffix}", packed(suffix, {name: GOOD}))
    except NothingToGrade:
        found = None
    assert found is None or found.cells[0].source == "x = 1"
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}"]
    assert not Path("/tmp/absolute.ipynb").exists()


@pytest.mark.parametrize("suffix", [".zip", *MODES])
@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"a.txt": b"x"}, "without a notebook"),
        ({"a.zip": packed(".zip", {"b.txt": b"x"})}, "without a notebook"),
        ({f"{number}.txt": b"" for number in range(2100)}, "over 2000 files"),
        ({"a.ipynb": bytes(40 << 20)}, "far more"),
        ({"a.ipynb": b"{"}, "is cut off"),
    ],
)
def test_what_cannot_be_graded_is_one_line(tmp_path, suffix, members, reason):
    if suffix == ".tar" and "far more" in reason:
        pytest.skip("a tar that is not packed is as large as what is in it")
    data = packed(suffix, members)
    started = time.monotonic()
    tracemalloc.start()
    with pytest.raises(NothingToGrade) as caught:
        read(tmp_path / f"a{suffix}", data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"a{suffix}: ")
    assert peak < 100 << 20
    assert time.monotonic() - started < 20


def test_a_file_beside_the_notebook_that_unpacks_to_gigabytes(tmp_path):
    data = packed(".tar.xz", {"bomb.bin": bytes(40 << 20), "a.ipynb": GOOD})
    with pytest.raises(NothingToGrade, match="far more"):
        read(tmp_path / "a.tar.xz", data)
    found = read(tmp_path / "a.zip", packed(".zip", {"bomb.bin": bytes(50 << 20), "a.ipynb": GOOD}))
    assert found.cells


def test_links_and_devices_in_archives_are_left_out(tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo(f"{kind!r}.ipynb")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    with pytest.raises(NothingToGrade, match="without a notebook"):
        read(tmp_path / "a.tar", out.getvalue())
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        link = zipfile.ZipInfo("link.ipynb")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(NothingToGrade, match="without a notebook"):
        read(tmp_path / "a.zip", zipped.getvalue())


@pytest.mark.parametrize(
    "head", [b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08", b"\xfd7zXZ\x00", b"BZh9", bytes(257) + b"ustar"]
)
def test_damaged_archives(tmp_path, head):
    for data in (head, head + b"x" * 1000, head + os.urandom(5000)):
        with pytest.raises(NothingToGrade):
            read(tmp_path / "a.bin", data)


def test_cut_archives(tmp_path):
    for suffix in (".zip", *MODES):
        data = packed(suffix, {"a.ipynb": GOOD * 50})
        for size in (10, len(data) // 2, len(data) - 30):
            with pytest.raises(NothingToGrade):
                read(tmp_path / "a", data[:size])


def test_a_folder(tmp_path):
    folder = tmp_path / "hand_in"
    (folder / ".ipynb_checkpoints").mkdir(parents=True)
    (folder / ".ipynb_checkpoints" / "x-checkpoint.ipynb").write_bytes(GOOD)
    with pytest.raises(NothingToGrade, match="hand_in: Nothing was handed in"):
        read_submission(folder)
    (folder / "loop").symlink_to(folder)
    (folder / "link.ipynb").symlink_to("/etc/passwd")
    (folder / "x.ipynb").write_bytes(GOOD)
    os.mkfifo(folder / "pipe.ipynb")
    assert read_submission(folder).cells[0].source == "x = 1"
    (folder / "y.ipynb").write_bytes(GOOD)
    assert any("Identical" in warning for warning in read_submission(folder).warnings)


def test_archive_in_a_notebooks_clothes(tmp_path):
    assert read(tmp_path / "x.ipynb", packed(".zip", {"a.ipynb": GOOD})).cells
    assert not archives.is_archive(GOOD[:512])
