"""What tells the answer that a person saw from another one: a few digests, written ``answer=... notebook=... pdf=...``."""

from __future__ import annotations

import hashlib

from grader.scoring.evidence import is_whole
from grader.scoring.result import ItemResult, Result

_DIGEST = "sha256:"
"""No base64 has a colon."""


def content_of(item: ItemResult | None, notebook: str | None = None, pdf: str = "") -> str:
    """The content of an item's answer.

    Args:
        item: the item with the evidence that the notebook holds; an automatic one has none.
        notebook: the digest of the notebook, empty where nothing was handed in.
        pdf: the digest of the PDF that was handed in with it.
    """
    parts = {"notebook": "" if notebook is None else notebook[:16] or "none", "pdf": pdf[:16]}
    # What training found has no cell, and comes and goes with the machine that trained.
    shown = [] if item is None else [each for each in item.evidence if each.cell or each.kind == "written_answer"]
    if shown and is_whole(shown):
        digest = hashlib.sha256()
        for each in shown:
            for text in (each.kind, each.text or "", each.mime or "", _digest(each.data)):
                digest.update(text.encode("utf-8", "backslashreplace") + b"\0")
        parts = {"answer": digest.hexdigest()[:16], **parts}
    return " ".join(f"{name}={value}" for name, value in parts.items() if value)


def without_images(result: Result) -> Result:
    """A result with digests in place of images, which are hundreds of megabytes in a class; contents stay the same."""
    return result.model_copy(update={"items": tuple(map(_without_images, result.items))})


def _without_images(item: ItemResult) -> ItemResult:
    evidence = tuple(
        each.model_copy(update={"data": _digest(each.data)}) if each.data else each for each in item.evidence
    )
    return item.model_copy(update={"evidence": evidence})


def _digest(data: str | None) -> str:
    """What stands for an image, in base64 or replaced already; empty for none."""
    if not data or data.startswith(_DIGEST):
        return data or ""
    return _DIGEST + hashlib.sha256(data.encode()).hexdigest()


def differs(seen: str, now: str) -> bool:
    """Whether two contents are of different answers, as far as both say; the notebook counts where the answer is not known."""
    if not seen or not now:
        return False
    one, other = _parts(seen), _parts(now)
    known = one.keys() & other.keys()
    if "answer" in known:
        known -= {"notebook"}
    return any(one[name] != other[name] for name in known)


def _parts(content: str) -> dict[str, str]:
    """The digests by name; text of another form is one digest without a name."""
    parts = [part.partition("=") for part in content.split()]
    if not all(sign and name in ("answer", "notebook", "pdf") for name, sign, _ in parts):
        return {"": content}
    return {name: value for name, _, value in parts}
