"""What a check package must not hold: answers, hidden properties, and the material that the grader is audited with."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from grader.assignment import Assignment
from grader.authoring.notebooks import END, START
from grader.check import public_criteria

SMALLEST = 9
"""Nodes of the syntax tree that an expression or a statement needs to count as somebody's own work."""
SENTENCE = 60
"""Characters that a written sentence needs for the same."""
FORBIDDEN = re.compile(
    r"(^|[/_])(corpus|mutants?|mutate|mechanical|operators|audit|reference|master|written_answers|equivalent|fingerprints)([/_.]|$)"
)
"""Names of files that have no place in the package."""


def leaks(files: Mapping[str, bytes], assignment: Assignment) -> list[str]:
    """What of the package's files (by path) gives something away, a line each; none if all is well."""
    texts = {name: data.decode("utf-8", "replace") for name, data in files.items()}
    code = {name: text for name, text in texts.items() if name.endswith(".py")}
    return [
        *(f"{name} has the name of something secret" for name in files if FORBIDDEN.search(name)),
        *_solutions(code, assignment),
        *_hidden(texts, assignment),
        *_written(texts, assignment.homework.reference),
    ]


def _solutions(code: Mapping[str, str], assignment: Assignment) -> Iterator[str]:
    """Code of the solution that the students' notebook does not show."""
    given = {shape for cell in assignment.template.cells for shape in shapes_of(cell.source)}
    secret: dict[str, str] = {}
    for path in sorted(assignment.homework.reference.rglob("*.py")):
        for region in solution_regions(path.read_text(encoding="utf-8")):
            secret |= {shape: text for shape, text in shapes_of(region).items() if shape not in given}
    for name, text in code.items():
        for shape in shapes_of(text).keys() & secret.keys():
            yield f"{name} holds the solution's {secret[shape][:80]!r}"


def solution_regions(text: str) -> Iterator[str]:
    """The code between the markers of answers, of which the students' notebook shows none."""
    region: list[str] | None = None
    for line in text.splitlines():
        if START.match(line):
            region = []
        elif END.match(line):
            yield textwrap.dedent("\n".join(region or []))
            region = None
        elif region is not None:
            region.append(line)


def shapes_of(text: str) -> dict[str, str]:
    """Fingerprints of the larger expressions and statements of some code, with the text of each.

    Names of variables do not count, as they are changed easily; names of attributes and constants do.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return {}
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.Assign | ast.Return | ast.For | ast.AugAssign):
            inner = list(ast.walk(node))
            if sum(not isinstance(each, ast.expr_context) for each in inner) >= SMALLEST:
                found[_shape(node)] = ast.unparse(node)
    return found


def _shape(node: ast.AST) -> str:
    dumped = ast.dump(node)
    return re.sub(r"Name\(id='\w+'", "Name(id='_'", dumped)


def _hidden(texts: Mapping[str, str], assignment: Assignment) -> Iterator[str]:
    """Properties that are not public: their names, their functions and their titles."""
    public = {name for names in public_criteria(assignment.rubric, assignment.homework.properties).values() for name in names}
    for name, prop in assignment.homework.properties.items():
        if name in public:
            continue
        module = prop.program.__module__.split(".")[-2:]
        for path, text in texts.items():
            defines = list(Path(path).with_suffix("").parts[-2:]) == module and f"def {prop.program.__name__}(" in text
            if defines or name in text or (len(prop.title) > SENTENCE and prop.title in text):
                yield f"{path} holds the hidden property {name}"


def _written(texts: Mapping[str, str], reference: Path) -> Iterator[str]:
    """Sentences of the model answers."""
    answers = reference / "written_answers.md"
    if not answers.is_file():
        return
    flat = {path: " ".join(text.split()) for path, text in texts.items()}
    for sentence in re.split(r"(?<=[.:])\s+", " ".join(answers.read_text(encoding="utf-8").split())):
        if len(sentence) >= SENTENCE:
            for path, text in flat.items():
                if sentence in text:
                    yield f"{path} holds a sentence of the model answers: {sentence[:60]!r}"
