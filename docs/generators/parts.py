"""A page for each part of the homework: what its properties ask, and which mistakes of the corpus each criterion catches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grader.audit.corpus import Case, load_all
from grader.homework import Homework, load_homework
from grader.scoring.rubric import AutomaticItem, load_rubric


def pages() -> Mapping[str, str]:
    """An overview and a page for each item that is judged automatically."""
    homework = load_homework()
    rubric = load_rubric(homework.rubric)
    cases = load_all([criterion.id for item in rubric.automatic for criterion in item.criteria], homework.corpus)
    found = {f"parts/{item.id}.md": _page(homework, item, cases) for item in rubric.automatic}
    rows = [
        f"| [{item.id}]({item.id}.md) | {item.title} | {item.points:g} | {len(item.criteria)} "
        f"| {sum(len(criterion.properties) for criterion in item.criteria)} "
        f"| {_count(cases, item.id, 'mutant')} | {_count(cases, item.id, 'variant')} |"
        for item in rubric.automatic
    ]
    head = (
        "# Every part, and the mistakes it catches\n\n"
        "Each part of the homework that is judged automatically has a page, made from the rubric, the properties and the "
        "corpus of the audit. The pages are for instructors: they name criteria that students do not see before they hand in. "
        "A *mutant* is a wrong answer that must lose the criterion it is listed under, and nothing else. A *variant* is a "
        "right answer in another style, which must lose nothing.\n\n"
        "| item | | points | criteria | properties | mutants | variants |\n|---|---|---|---|---|---|---|\n"
    )
    names = "\n".join(item.id for item in rubric.automatic)
    toctree = f"\n\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"
    return {"parts/index.md": head + "\n".join(rows) + toctree, **found}


def _count(cases: Sequence[Case], part: str, kind: str) -> int:
    return sum(case.part == part and case.entry.kind == kind for case in cases)


def _page(homework: Homework, item: AutomaticItem, cases: Sequence[Case]) -> str:
    sections = [f"# {item.id}: {item.title}\n\n{_points(item.points)}."]
    for criterion in item.criteria:
        caught = [case for case in cases if case.part == item.id and criterion.id in case.entry.loses]
        public = "Students can check it themselves." if criterion.public else "Students do not see it before they hand in."
        text = f"## {criterion.id}\n\n{criterion.title} {_points(criterion.points)}. {public}\n\n"
        text += f"> {criterion.quote}\n\n### Properties\n\n"
        for name in criterion.properties:
            prop = homework.properties[name]
            title = " ".join(prop.title.split())
            text += f"- `{name.rpartition('.')[2]}`: {title}{_when(prop.when)}\n"
        if caught:
            text += "\n### Mistakes it catches\n\n" + _titles(caught)
        sections.append(text.rstrip())
    variants = [case for case in cases if case.part == item.id and case.entry.kind == "variant"]
    if variants:
        sections.append(f"## Right answers that pass\n\n{_titles(variants)}".rstrip())
    return "\n\n".join(sections) + "\n"


def _titles(cases: Sequence[Case]) -> str:
    return "".join(f"- {' '.join(case.entry.title.split())}\n" for case in cases)


def _points(points: float) -> str:
    return f"{points:g} point" if points == 1 else f"{points:g} points"


def _when(when: str) -> str:
    return {"stand-ins": " (with stand-ins)", "whole": " (judged whole)"}.get(when, "")
