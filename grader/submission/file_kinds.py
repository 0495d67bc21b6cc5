"""Tells what a file is from its name and its first bytes: a notebook, an archive, other work, or junk of a system."""

from __future__ import annotations

import re

from grader.submission.archives import is_archive

OFFICE = (
    ".docx",
    ".xlsx",
    ".pptx",
    ".odt",
    ".ods",
    ".odp",
    ".pages",
    ".key",
    ".numbers",
    ".epub",
    ".jar",
    ".whl",
)
_PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz")
_SEALED = (".7z", ".rar")
KINDS = {
    ".pdf": "a PDF",
    ".html": "a web page",
    ".htm": "a web page",
    ".py": "a Python script",
    ".md": "Markdown",
    ".tex": "LaTeX",
    ".docx": "a Word document",
    ".doc": "a Word document",
    ".pages": "a Pages document",
    ".gdoc": "a link to Google Drive",
    ".url": "a link to a web page",
    ".webloc": "a link to a web page",
    ".7z": "a 7z archive",
    ".rar": "a RAR archive",
}
WORK = (".pdf", ".py", ".html", ".htm", ".docx", ".doc", ".tex", *_PACKED, *_SEALED)
"""What may hold answers, so that the student is told that it was not graded."""
_NOT_JSON = (".safetensors", ".pt", ".pth", ".png", ".jpg", ".jpeg", ".gif", ".csv", ".npy", ".npz", ".pkl")


def is_junk(name: str) -> bool:
    """Whether a system or an editor left a file or a folder behind."""
    return name.startswith((".", "__MACOSX", "~$")) or name.lower() in ("thumbs.db", "desktop.ini")


def is_archive_name(name: str) -> bool:
    """Whether a file is named like an archive."""
    return name.lower().endswith((*_PACKED, *_SEALED))


def may_hold_work(name: str) -> bool:
    """Whether a file is of a kind that people hand in."""
    return is_named_notebook(name) or (
        name.lower().endswith((*WORK, *KINDS, ".json")) and not name.lower().endswith(".md")
    )


def is_wanted(name: str, head: bytes) -> bool:
    """Whether a file with this name and these first bytes may be a notebook or hold one."""
    if is_named_notebook(name) or (is_archive(head) and not name.lower().endswith(OFFICE)):
        return True
    if name.lower().endswith(_NOT_JSON):
        return False
    return head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"{")


def is_wanted_within(name: str, head: bytes) -> bool:
    """Whether a file in an archive has to be read: checkpoints as well, as nobody can open them there later."""
    return is_wanted(name, head) or is_checkpoint(name)


def is_checkpoint(name: str) -> bool:
    """Whether a file is named like the weights of a model."""
    return name.lower().endswith(".safetensors")


def is_named_notebook(name: str) -> bool:
    """Whether a file is named like a notebook; browsers and systems also make ``hw3.ipynb.txt`` or ``HW3.IPYNB`` of it."""
    return bool(re.search(r"\.ipynb(\.(txt|json|download|part))*$", name.strip(), re.I))
