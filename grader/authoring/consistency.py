"""Whether everything that states the homework agrees: reference, notebook, rubric, model answers and training checks."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator, Sequence

from grader.authoring import notebooks as template
from grader.errors import GraderError
from grader.homework import load_homework
from grader.scoring.rubric import AutomaticItem, ManualItem, Rubric, TrainingItem, load_rubric


def disagreements() -> list[str]:
    """Everything that does not agree, a line each; the notebook first, as a rebuilt one may settle the rest."""
    found = [f"notebook: {line}" for line in template.check()]
    try:
        rubric = load_rubric(load_homework().rubric, known_properties=load_homework().properties)
    except GraderError as error:
        return [*found, *(f"rubric: {line}" for line in str(error).splitlines())]
    return [*found, *rubric_faults(rubric), *training_faults(rubric)]


def rubric_faults(rubric: Rubric) -> list[str]:
    """Where a valid rubric does not fit the notebook, the properties and the model answers."""
    return [*_quotes(rubric), *_parts(rubric), *_answers(rubric), *_classes()]


def missing_quotes(rubric: Rubric) -> list[str]:
    """The criteria whose quote does not stand in the students' notebook; raises `GraderError` if that cannot be read."""
    text = _flat("\n".join(_sources()))
    return [c.id for item in rubric.automatic for c in item.criteria if _flat(c.quote) not in text]


def training_faults(rubric: Rubric) -> list[str]:
    """Where the notebook's training settings cannot be used, or the rubric asks for another accuracy than the notebook."""
    items = [item for item in rubric.items if isinstance(item, TrainingItem)]
    if not items:
        return []
    check = load_homework().training
    if check is None:
        return [f"training: the homework declares no training check for {', '.join(item.id for item in items)}"]
    try:
        texts = "\n".join(_sources())
    except GraderError as error:
        return [f"training: {error}"]
    found = [f"training: {line}" for line in check.faults()]
    for item in items:
        percent = f"{item.budget.threshold * 100:g}"
        if not re.search(rf"(?<![\d.]){re.escape(percent)}\s?%", texts):
            found.append(f"training: the rubric asks for {percent} % in {item.id}, which the notebook does not state")
    return found


def _sources() -> Iterator[str]:
    try:
        cells = json.loads(load_homework().template.read_text(encoding="utf-8"))["cells"]
        return iter(["".join(cell["source"]) for cell in cells])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GraderError(f"{load_homework().template.name} cannot be read: {error}") from None


def _flat(text: str) -> str:
    """Text without layout: docstrings write ``code`` where Markdown writes `code`."""
    return " ".join(re.sub("`+", "", text).split())


def _quotes(rubric: Rubric) -> list[str]:
    try:
        missing = missing_quotes(rubric)
    except GraderError as error:
        return [f"rubric: {error}"]
    return [f"rubric: the quote of {name} is not in the notebook" for name in missing]


def _parts(rubric: Rubric) -> list[str]:
    properties = load_homework().properties
    outline = template.read_outline()
    written = {cell.part for cell in outline if cell.role == "solution"}
    found = []
    for item in rubric.automatic:
        if item.id not in written:
            found.append(f"rubric: {item.id} is judged automatically, but the notebook has no cell to write for it")
        found += [
            f"rubric: {name} judges {properties[name].part.item}, but counts for {item.id}"
            for criterion in item.criteria
            for name in criterion.properties
            if name in properties and properties[name].part.item != item.id
        ]
    judged = {item.id for item in rubric.items if isinstance(item, AutomaticItem)}
    return [
        *found,
        *(f"rubric: the notebook asks for code in {part}, which no item judges" for part in sorted(written - judged)),
    ]


def _classes() -> list[str]:
    """Where a property builds a class that the notebook does not define."""
    try:
        trees = [tree for source in _sources() if (tree := _parsed(source)) is not None]
    except GraderError:
        return []  # said by `_quotes`
    defined = {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    found = []
    for module in load_homework().modules:
        name = module.__name__.rpartition(".")[2]
        attributes = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Attribute)]
        for node in attributes:
            if ast.unparse(node.value) == "student" and node.attr[0].isupper() and node.attr not in defined:
                line = f"builds student.{node.attr}, a class that the notebook does not define"
                found.append(f"properties: {name}.py, line {node.lineno}: {line}")
    return found


def _parsed(source: str) -> ast.Module | None:
    """The code of a cell; None for text, and for code that only a notebook can run."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return None


def _answers(rubric: Rubric) -> list[str]:
    there = template.model_answers()
    wanted: Sequence[ManualItem] = [item for item in rubric.items if isinstance(item, ManualItem)]
    return [
        f"rubric: {item.id} names the model answer {item.model_answer}, which written_answers.md does not have"
        for item in wanted
        if item.model_answer not in there
    ]
