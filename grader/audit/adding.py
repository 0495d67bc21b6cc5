"""Turns what a submission did wrong in one part into an entry of the corpus, so that it is named from then on.

The entry holds the class and what it needs of the submission's other cells, without comments, docstrings and names of people
in them. It is judged in a confined kernel. Read it before you run it without one.
"""

from __future__ import annotations

import ast
import json
import re
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from grader.assignment import load_assignment
from grader.audit import corpus, fingerprints
from grader.audit.corpus import Case
from grader.audit.run import Found
from grader.errors import UsageError
from grader.files.atomic import write_atomically
from grader.grade import Judged, Request, judge
from grader.homework import Homework
from grader.insight.fingerprints import KnownFault, load_fingerprints, to_json
from grader.submission.reading import Submission, read_submission
from grader.submission.syntax import parse
from grader.text.safe_text import one_line

_MOST_ID = 60
Judging = Callable[[Path, Collection[str]], Judged]


@dataclass(frozen=True)
class Added:
    """An entry that was added: its case, the criteria that it loses, and the file that holds it."""

    case: Case
    loses: tuple[str, ...]
    path: Path


def judge_confined(path: Path, properties: Collection[str]) -> Judged:
    """Judge a notebook by some properties as a submission is judged."""
    return judge(path, load_assignment(), Request(only=properties))


def add(
    place: Path, part: str, cause: str, homework: Homework, name: str = "", judging: Judging = judge_confined
) -> Added:
    """Add what the submission at ``place`` did wrong in a part to the corpus and to the table of fingerprints.

    Args:
        place: the submission: a notebook, a folder or an archive.
        part: the item of the class.
        cause: what is wrong in words, or the id of a cause of the part's corpus.
        homework: its corpus gets the entry.
        name: the entry's id; by default made of the cause.
        judging: judges the entry's notebook.

    Raises:
        UsageError: if the part has no corpus, the submission does not define the class, or the entry loses nothing.
        NothingToGrade: if there is no notebook.
    """
    path = homework.corpus / f"{part}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in homework.corpus.glob("*.yaml")))
        raise UsageError(f"{one_line(part)}: the homework has no corpus for this item; it has {known or 'none'}")
    criteria = [criterion.id for item in load_assignment().rubric.automatic for criterion in item.criteria]
    causes, class_name = corpus.load_causes(path), corpus.class_of(path)
    taken = {case.entry.id for case in corpus.load(path, criteria)}
    before, code = code_of(read_submission(place), class_name)
    entry_id = free_id(name or cause, taken, is_asked=bool(name))
    chosen = [each for each, words in causes.items() if cause in (each, words)]
    title = causes[chosen[0]] if chosen else one_line(cause)
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        draft = Path(folder) / path.name
        # Which criteria it loses is found out below; the file has to name one until then.
        case = drafted(draft, path, entry_text(entry_id, title, chosen, before, code, criteria[:1]), criteria, entry_id)
        notebook = Path(folder) / "submission.ipynb"
        notebook.write_text(case.notebook(), encoding="utf-8")
        ours = {prop.name for prop in homework.properties.values() if prop.part.item == part}
        judged = judging(notebook, ours)
        loses = _lost(judged, part)
        case = drafted(draft, path, entry_text(entry_id, title, chosen, before, code, loses), criteria, entry_id)
        write_atomically(path, draft.read_text(encoding="utf-8"))
    _keep(case, judged, homework)
    return Added(case, loses, path)


def drafted(draft: Path, path: Path, entry: str, criteria: Collection[str], entry_id: str) -> Case:
    """The case of an entry at the end of a copy of a corpus; raises `UsageError` where it does not fit there."""
    draft.write_text(path.read_text(encoding="utf-8").rstrip("\n") + "\n" + entry, encoding="utf-8")
    return next(case for case in corpus.load(draft, criteria) if case.entry.id == entry_id)


def _lost(judged: Judged, part: str) -> tuple[str, ...]:
    if judged.verdicts is None:
        raise UsageError(f"the entry could not be judged: {judged.result.error or 'no verdict'}")
    items = [item for item in judged.result.items if item.id == part]
    lost = tuple(criterion.id for item in items for criterion in item.criteria if criterion.status == "failed")
    if not lost:
        raise UsageError(
            f"{part}: the class of this submission loses no points by itself, so it names no cause; "
            "a part that it builds on may be what is wrong"
        )
    return lost


def _keep(case: Case, judged: Judged, homework: Homework) -> None:
    """Put the entry's fingerprint into the table, where there is one."""
    if not homework.fingerprints.is_file():
        return
    assert judged.verdicts is not None
    criteria = [criterion.id for item in load_assignment().rubric.automatic for criterion in item.criteria]
    table, those = load_fingerprints(homework.fingerprints), fingerprints.wanted(homework, criteria)
    key = fingerprints.keys_of([case], homework)[case.name]
    fault: KnownFault = fingerprints.fault_of(case, Found(judged.verdicts, (), ()), key, homework)
    known = {**fingerprints.known_faults(table), case.name: fault}
    write_atomically(homework.fingerprints, to_json(fingerprints.composed(known, table, those, homework)))


def free_id(words: str, taken: Collection[str], *, is_asked: bool = False) -> str:
    """An id made of words that no entry has; where it was ``is_asked`` for and is taken, raises `UsageError`."""
    made = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:_MOST_ID].strip("-") or "entry"
    if made not in taken:
        return made
    if is_asked:
        raise UsageError(f"entry {made} is already in the corpus; choose another --id")
    return next(f"{made}-{number}" for number in range(2, len(taken) + 3) if f"{made}-{number}" not in taken)


def entry_text(name: str, title: str, causes: Collection[str], before: str, code: str, loses: Collection[str]) -> str:
    """An entry as the text of the corpus has it."""
    lines = [f"  - id: {name}", "    kind: mutant"]
    lines += [f"    causes: [{', '.join(causes)}]"] if causes else []
    lines.append(f"    title: {json.dumps(title, ensure_ascii=False)}")
    for field, text in (("before", before), ("code", code)):
        if text:
            lines += [f"    {field}: |", *(f"      {line}".rstrip() for line in text.splitlines())]
    return "\n".join([*lines, f"    loses: [{', '.join(loses)}]"]) + "\n"


# -- what a class needs ------------------------------------------------------------------------------------------------


def code_of(submission: Submission, class_name: str) -> tuple[str, str]:
    """The code of a class, and what of the other cells it needs: definitions, imports and assignments by name.

    Raises:
        UsageError: if the submission has no such class.
    """
    given = _names_of(corpus.reference_cells())
    defined: dict[str, ast.stmt] = {}
    for cell in submission.cells:
        tree = parse(cell.source)
        for statement in tree.body if tree is not None else ():
            for name in _defined(statement):
                defined[name] = statement
    found = defined.get(class_name)
    if not isinstance(found, ast.ClassDef):
        raise UsageError(f"{one_line(submission.name)}: has no class {class_name}")
    needed: dict[int, ast.stmt] = {}
    waiting: list[ast.stmt] = [found]
    while waiting:
        for name in _used(waiting.pop()):
            other = defined.get(name)
            if other is None or other is found or id(other) in needed:
                continue
            # Classes of other parts are the reference's in the corpus.
            if not (name in given and isinstance(other, ast.ClassDef)):
                needed[id(other)] = other
                waiting.append(other)
    ordered = [each for each in dict.fromkeys(map(id, defined.values())) if each in needed]
    return "\n".join(_plain(needed[each]) for each in ordered), _plain(found)


def _names_of(cells: Collection[str]) -> set[str]:
    return {name for cell in cells for statement in ast.parse(cell).body for name in _defined(statement)}


def _defined(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        yield from (node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))


def _used(statement: ast.stmt) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


def _plain(statement: ast.stmt) -> str:
    """Code without comments and docstrings."""
    tree = ast.parse(ast.unparse(statement))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
