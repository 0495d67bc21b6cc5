"""A PDF is read and drawn in a confined process; one that cannot be read is named in one line and costs nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from grader.errors import UsageError
from grader.kernel.confinement import make_sealed_policy, probe
from grader.kernel.inside import confine
from grader.pdfs import Limits, UnreadablePdf, read, render, render_pages
from grader.pdfs.document import pages_of
from tests.pdfs.conftest import Made, pdf_of


def test_text_has_places_as_the_page_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "ada.pdf"
    path.write_bytes(
        pdf_of([(72, 700, "Problem 1a"), (72, 680, "We insert."), (400, 680, "(3)")], [(72, 100, "more")])
    )
    document = read(path)
    heading, text, number = document.pages[0].lines
    assert (heading.text, text.text, number.text) == ("Problem 1a", "We insert.", "(3)")
    assert heading.bold and not text.bold
    assert (
        heading.box.left == pytest.approx(72, abs=1) and pytest.approx(heading.box.bottom, abs=4) == 792 - 700
    )
    assert number.box.left == pytest.approx(400, abs=1) and heading.box.bottom < text.box.top + 4
    assert document.numbers == (1, 2) and not document.is_scan
    assert document.pages[1].lines[0].box.top > 650


def test_a_turned_page_is_read_as_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "turned.pdf"
    data = pdf_of([(72, 700, "Problem 1a")]).replace(b"/Rotate 0", b"/Rotate 90")
    path.write_bytes(data)
    (page,) = read(path).pages
    assert (page.width, page.height) == (792, 612)
    assert page.lines[0].box.left == pytest.approx(700, abs=6) and page.lines[0].box.top == pytest.approx(
        72, abs=1
    )


def test_what_was_read_is_kept_by_content(made: Made, tmp_path: Path) -> None:
    path, cache = made(["Problem 1a", "yes"]), tmp_path / "cache"
    first = read(path, cache)
    (kept,) = cache.iterdir()
    assert kept.stem == first.digest
    stored = json.loads(kept.read_text())
    stored["pages"][0]["lines"][1][0] = "from the cache"
    kept.write_text(json.dumps(stored))
    assert read(path, cache).pages[0].lines[1].text == "from the cache"
    kept.write_text("{")
    assert read(path, cache) == first


def test_damaged_encrypted_and_huge_pdfs_are_named(made: Made, tmp_path: Path) -> None:
    good = made(["Problem 1a"], ["2"], ["3"]).read_bytes()
    files = {
        "empty.pdf": (b"", "is damaged or is not a PDF"),
        "word.pdf": (b"PK\x03\x04" + bytes(200), "is damaged or is not a PDF"),
        "cut.pdf": (good[: len(good) // 3], "is damaged or is not a PDF"),
        "secret.pdf": (
            pdf_of([(72, 700, "x")], encrypt="password"),
            "is encrypted; ask for a PDF without a password",
        ),
        "wide.pdf": (pdf_of([(72, 700, "x")], size=(30_000, 200)), "page 1 is 30000 x 200 points large"),
    }
    for name, (data, reason) in files.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(UnreadablePdf) as caught:
            read(path)
        assert str(caught.value) == f"{name}: {reason}"
    with pytest.raises(UnreadablePdf, match=r"^ada\.pdf: has 3 pages; at most 2 are read$"):
        read(tmp_path / "ada.pdf", limits=Limits(pages=2))
    with pytest.raises(UnreadablePdf, match=r"^ada\.pdf: is larger than 0 MB$"):
        read(made(["changed"]), limits=Limits(file=100))


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pdf")
    (tmp_path / "folder.pdf").mkdir()
    for name, reason in (
        ("pipe.pdf", "is not a regular file"),
        ("folder.pdf", "is not a regular file"),
        ("none.pdf", "No such file"),
    ):
        with pytest.raises(UnreadablePdf, match=rf"^{name}: .*{reason}"):
            read(tmp_path / name)


def test_a_pdf_that_unpacks_to_far_too_much_ends_its_reader_alone(tmp_path: Path) -> None:
    packed = zlib.compress(b"0 0 m 9 9 l S\n" * 30_000_000, 9)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R>>",
        b"<</Length %d/Filter/FlateDecode>>stream\n%b\nendstream" % (len(packed), packed),
    ]
    body = b"%PDF-1.4\n" + b"".join(
        b"%d 0 obj%b endobj\n" % (number, one) for number, one in enumerate(objects, 1)
    )
    path = tmp_path / "bomb.pdf"
    path.write_bytes(body + b"trailer<</Root 1 0 R>>\n")
    with pytest.raises(
        UnreadablePdf, match=r"^bomb\.pdf: (?:needs too much|takes more than|crashes|cannot be read)"
    ):
        read(path, limits=Limits(memory=150 << 20, seconds=10))


@pytest.mark.skipif(
    not (probe().landlock and probe().seccomp), reason="this machine has no Landlock or seccomp"
)
def test_the_reader_reaches_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    script = f"""
import importlib.util, json, os, socket, sys
specification = importlib.util.spec_from_file_location("confine", {confine.__file__!r})
confine = importlib.util.module_from_spec(specification)
specification.loader.exec_module(confine)
confine.apply(json.loads(sys.argv[1]))
def tried(action):
    try:
        action()
        return "done"
    except OSError:
        return "refused"
print([tried(action) for action in (
    lambda: open({str(secret)!r}), lambda: open("/etc/passwd"), lambda: open({str(tmp_path / "new")!r}, "w"),
    lambda: socket.socket(socket.AF_INET).connect(("127.0.0.1", 9)), lambda: os.execv("/bin/true", ["true"]),
)])
"""
    policy = json.dumps(make_sealed_policy(1 << 30, 20, 1 << 20))
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, policy], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(["refused"] * 5)


@pytest.mark.parametrize(
    "pages",
    [
        [], {}, "x", [1], [{}], [{"width": 1, "height": 2, "lines": [["a", 0, 0, 1, 1]], "pictures": [], "strokes": 0}],
        [{"width": float("nan"), "height": 2, "lines": [], "pictures": [], "strokes": 0}],
        [{"width": 1, "height": 2, "lines": [[5, 0, 0, 1, 1, True]], "pictures": [], "strokes": 0}],
        [{"width": 1, "height": 2, "lines": [], "pictures": [[0, 0, "1", 1]], "strokes": 0}],
        [{"width": 1, "height": 2, "lines": "abcdef", "pictures": [], "strokes": 0}],
    ],
)  # fmt: skip
def test_a_malformed_reply_is_refused(pages: object) -> None:
    with pytest.raises(ValueError):
        pages_of(pages)


def test_pages_are_drawn_once(made: Made, tmp_path: Path) -> None:
    path, cache = made(["Problem 1a"], ["Problem 1b"]), tmp_path / "cache"
    drawn = render(path, 2, 300, cache)
    with Image.open(drawn) as image:
        assert image.format == "PNG" and image.size == (300, round(300 * 792 / 612))
        assert image.getpixel((0, 0)) == (255, 255, 255) and image.convert("L").getextrema()[0] < 128
    drawn.write_bytes(b"kept")
    assert render(path, 2, 300, cache).read_bytes() == b"kept"
    first, second = render_pages(path, [1, 2], 300, cache)
    assert first != second == drawn and first.read_bytes().startswith(b"\x89PNG")
    assert len(list(cache.iterdir())) == 2


def test_a_page_that_cannot_be_drawn_is_named(made: Made, tmp_path: Path) -> None:
    path = made(["Problem 1a"])
    with pytest.raises(UnreadablePdf, match=r"^ada\.pdf: has no page 2$"):
        render(path, 2, 300, tmp_path / "cache")
    with pytest.raises(UsageError, match="50 to 2400 pixels wide, not 9000"):
        render(path, 1, 9000, tmp_path / "cache")
    with pytest.raises(UsageError, match="pages count from 1"):
        render(path, 0, 300, tmp_path / "cache")
