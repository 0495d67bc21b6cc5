"""What other seeds than the class's found, as a class's folder keeps it: ``DIR/rechecked/CONTENT-CONTEXT-N.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from grader.batch.store import Store, Stored, StoredVerdict, read_stored
from grader.files.atomic import write_atomically

FOLDER = "rechecked"


class Recheck(Stored):
    """The verdicts of one content with another seed than the class's."""

    format: Literal[1] = 1
    content: str
    context: str
    """The class's, not that of the other seed: after a change of the grader or the seed, a recheck counts no more."""
    number: int
    """Which of the other seeds, from 1."""
    verdicts: dict[str, StoredVerdict]

    @property
    def judged(self) -> dict[str, StoredVerdict]:
        """The verdicts that the grader could reach."""
        return {name: verdict for name, verdict in self.verdicts.items() if verdict.status != "error"}


def keep_recheck(store: Store, recheck: Recheck) -> None:
    """Write down what another seed found, beside what it had found of other properties. Raises `GraderError`."""
    known = load_recheck(store, recheck.content, recheck.context, recheck.number)
    if known is not None:
        recheck = recheck.model_copy(update={"verdicts": {**known.verdicts, **recheck.verdicts}})
    path = _path(store, recheck.content, recheck.context, recheck.number)
    write_atomically(path, recheck.model_dump_json() + "\n")


def load_recheck(store: Store, content: str, context: str, number: int) -> Recheck | None:
    """What the Nth other seed found about a content; None if nothing is known of it."""
    found = read_stored(_path(store, content, context, number), Recheck)
    is_it = found is not None and (found.content, found.context, found.number) == (content, context, number)
    return found if is_it else None


def rechecks_of(store: Store, context: str) -> dict[str, list[Recheck]]:
    """What is known with other seeds, by content, in the order of the seeds."""
    found: dict[str, list[Recheck]] = {}
    for path in (store.folder / FOLDER).glob(f"*-{context}-*.json"):
        content, _, number = path.stem.split("-")
        recheck = load_recheck(store, content, context, int(number)) if number.isdecimal() else None
        if recheck is not None:
            found.setdefault(content, []).append(recheck)
    return {content: sorted(those, key=lambda each: each.number) for content, those in found.items()}


def _path(store: Store, content: str, context: str, number: int) -> Path:
    return store.folder / FOLDER / f"{content}-{context}-{number}.json"
