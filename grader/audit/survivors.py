"""What a person decides about a survivor: it is as right as the reference, or a fault that the properties miss."""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Collection
from pathlib import Path

import yaml

from grader.audit import corpus, mechanical
from grader.audit.adding import drafted, entry_text, free_id
from grader.audit.corpus import Case
from grader.audit.mechanical import Mutant
from grader.errors import UsageError
from grader.files.atomic import write_atomically
from grader.homework import Homework
from grader.text.safe_text import one_line

_HEADER = (
    "# Mutants of `grader audit generate` that lose no point because they are as right as the reference. "
    "A person judged each.\nequivalent:\n"
)


def mutant_named(name: str) -> Mutant:
    """The mutant with a name such as 2a/m1f3b0c7d, or with that id; raises `UsageError`."""
    found = [mutant for mutant in mechanical.mutants() if name in (mutant.name, mutant.mutation.id)]
    if not found:
        raise UsageError(f"{one_line(name)}: there is no such mutant; `grader audit generate --list` shows all")
    return found[0]


def keep_equivalent(mutant: Mutant, why: str, homework: Homework) -> Path:
    """Write down that a mutant is as right as the reference, and why; gives the file.

    Raises:
        UsageError: if it is written down already, or the reason says too little.
    """
    path = homework.equivalent
    before = path.read_text(encoding="utf-8") if path.is_file() else _HEADER
    if path.is_file() and mutant.name in mechanical.load_reviewed(path):
        raise UsageError(f"{mutant.name}: is in {path.name} already; edit the reason there")
    entry = {
        "part": mutant.target.part,
        "id": mutant.mutation.id,
        "line": mutant.line,
        "change": mutant.mutation.change,
        "why": one_line(why, 1000),
    }
    text = before.rstrip("\n") + "\n" + yaml.safe_dump([entry], sort_keys=False, width=1000, allow_unicode=True)
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        draft = Path(folder) / path.name
        draft.write_text(text, encoding="utf-8")
        mechanical.load_reviewed(draft)
    write_atomically(path, text)
    return path


def keep_missed(
    mutant: Mutant, what: str, loses: Collection[str], criteria: Collection[str], homework: Homework
) -> tuple[Case, Path]:
    """Make a mutant an entry of the corpus, which fails the audit until a property finds the fault.

    Args:
        mutant: the fault.
        what: what is wrong, in words for graders.
        loses: the criteria that it has to lose.
        criteria: those of the rubric.
        homework: its corpus gets the entry.

    Returns:
        The entry, and the file that holds it.

    Raises:
        UsageError: if the part has no corpus, or there is no such criterion.
    """
    part = mutant.target.part
    own = [name for name in criteria if name.startswith(f"{part}.")]
    chosen = list(loses) or (own if len(own) == 1 else [])
    if not chosen:
        raise UsageError(f"say with --loses which criterion the fault has to lose: {', '.join(own)}")
    if unknown := [name for name in chosen if name not in criteria]:
        raise UsageError(f"{one_line(unknown[0])}: the rubric has no such criterion; {part} has {', '.join(own)}")
    path = homework.corpus / f"{part}.yaml"
    if not path.is_file():
        raise UsageError(f"{part}: the homework has no corpus for this item; write {path.name} first")
    taken = {case.entry.id for case in corpus.load(path, criteria)}
    entry_id = free_id(what, taken)
    entry = entry_text(entry_id, one_line(what), (), "", ast.unparse(ast.parse(mutant.mutation.source)), chosen)
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        draft = Path(folder) / path.name
        case = drafted(draft, path, entry, criteria, entry_id)
        write_atomically(path, draft.read_text(encoding="utf-8"))
    return case, path
