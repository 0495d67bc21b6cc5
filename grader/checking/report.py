"""What a check found, as a table for a notebook and as plain text."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from grader.checking.public import CheckedCriterion, PublicItem
from grader.report import pictures
from grader.text.safe_text import clean, for_html, one_line

_SIGNS = {"passed": "✓", "failed": "✗", "error": "!"}
_COLORS = {"passed": "#188038", "failed": "#c5221f", "error": "#b06000"}
_UNWRITTEN = "your code raised NotImplementedError: "
_STYLE = (
    ".hw-check{--page:#fff;--ink:#1c2128;--quiet:#565e6b;--line:#d8dce2;--tint:#f5f6f8;--accent:#1f5a96;--signal:#a5420b;"
    "--signal-tint:#fbeee6;--depth:1;--mono:ui-monospace,Menlo,Consolas,monospace}"
    ".hw-check{border-collapse:collapse;margin:.4em 0;max-width:60em}"
    ".hw-check td{text-align:left!important;vertical-align:top;padding:.25em .6em;border-top:1px solid #8884}"
    ".hw-check tr{background:none!important}"
    ".hw-check pre{margin:.3em 0 0;padding:.4em .6em;background:#8882;overflow-x:auto;white-space:pre;font-size:90%}"
    ".hw-check .quiet{opacity:.7}"
    ".hw-check figure{margin:.5em 0;padding:.5em;background:var(--page);color:var(--ink)}"
)


@functools.cache
def _style() -> str:
    """The style of the table, and that of pictures for what is within it."""
    drawn = (Path(pictures.__file__).parents[1] / "pages" / "pictures.css").read_text(encoding="utf-8")
    return f"<style>.hw-check{{{drawn}}}{_STYLE}</style>"


@dataclass(frozen=True)
class CheckedItem:
    """An item with its checked criteria, or with the reason why none of them could be checked."""

    item: PublicItem
    criteria: tuple[CheckedCriterion, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What a check found. It shows itself as a table in a notebook."""

    title: str
    items: tuple[CheckedItem, ...]
    submit: str = ""

    @property
    def statuses(self) -> dict[str, str]:
        """passed, failed or error, by the id of each criterion that was checked."""
        return {each.criterion.id: each.decision.status for item in self.items for each in item.criteria}

    @property
    def summary(self) -> str:
        """How many criteria passed, in one line."""
        found = list(self.statuses.values())
        words = f"{found.count('passed')} of {len(found)} public checks passed"
        errors = found.count("error")
        return f"{words}, {errors} could not be run" if errors else words

    @property
    def unchecked(self) -> str:
        """What grading judges beside the public criteria, in one line; empty if there is nothing."""
        left = {item.item.id: item.item.unchecked for item in self.items if item.item.unchecked}
        named = "; ".join(
            f"{name} {', '.join(each.partition('.')[2] for each in criteria)}" for name, criteria in left.items()
        )
        return f"Not checked here, but graded: {named}." if named else ""

    def __str__(self) -> str:
        return "\n".join(self._lines())

    __repr__ = __str__

    def _lines(self) -> Iterator[str]:
        for item in self.items:
            yield f"{item.item.id} {one_line(item.item.title)}"
            if item.note:
                yield f"    {one_line(item.note)}"
            for each in item.criteria:
                yield f"  {_SIGNS[each.decision.status]} {one_line(each.criterion.title)}"
                yield from (f"      {line}" for line in _explanation(each).splitlines())
        yield ""
        yield from (line for line in (self.summary + ".", self.unchecked, self.submit) if line)

    def _repr_html_(self) -> str:
        rows = "".join(_rows(item) for item in self.items)
        below = "".join(
            f'<div class="quiet">{for_html(line)}</div>' for line in (self.unchecked, self.submit) if line
        )
        head = f"<b>{for_html(self.title)}</b> {for_html(self.summary)}"
        return f'{_style()}<div>{head}<table class="hw-check">{rows}</table>{below}</div>'


def _rows(item: CheckedItem) -> str:
    """The table's rows of an item."""
    name = f"<b>{for_html(item.item.id)}</b>"
    if item.note and not item.criteria:
        return f'<tr><td>{name}</td><td></td><td class="quiet">{for_html(item.note)}</td></tr>'
    rows = []
    for number, each in enumerate(item.criteria):
        status = each.decision.status
        sign = f'<span style="color:{_COLORS[status]}" title="{status}">{_SIGNS[status]}</span>'
        text = for_html(each.criterion.title)
        if each.decision.by is not None:
            text += f"<br>{for_html(_message(each))}"
        for line in each.elsewhere:
            text += f'<br><span class="quiet">{for_html(line)}</span>'
        if requirement := _requirement(each):
            text += f'<br><span class="quiet">{for_html(requirement)}</span>'
        if _counterexample_of(each):
            text += f"<details open><summary>Smallest counterexample</summary>{_counterexample(each)}</details>"
            if each.decision.by is not None and each.decision.by.snippet:
                code = for_html(each.decision.by.snippet)
                text += f"<details><summary>Code that reproduces it</summary><pre>{code}</pre></details>"
        rows.append(f"<tr><td>{name if number == 0 else ''}</td><td>{sign}</td><td>{text}</td></tr>")
    if item.note:
        rows.append(f'<tr><td></td><td></td><td class="quiet">{for_html(item.note)}</td></tr>')
    return "".join(rows)


def _counterexample(each: CheckedCriterion) -> str:
    drawn = "".join(
        f"<figure>{pictures.draw(picture)}<figcaption>{for_html(picture.caption)}</figcaption></figure>"
        for picture in (each.decision.by.pictures if each.decision.by is not None else ())
    )
    return f"{drawn}<pre>{for_html(_counterexample_of(each))}</pre>"


def _is_unwritten(each: CheckedCriterion) -> bool:
    """Whether all that is wrong is that the student has not written the part yet."""
    return each.decision.message.startswith(_UNWRITTEN)


def _message(each: CheckedCriterion) -> str:
    """Why a criterion is not earned."""
    return each.decision.message.removeprefix(_UNWRITTEN) or "not implemented yet"


def _counterexample_of(each: CheckedCriterion) -> str:
    """The counterexample, where it tells something."""
    by = each.decision.by
    return "" if by is None or _is_unwritten(each) else by.counterexample or ""


def _explanation(each: CheckedCriterion) -> str:
    """What there is to say about a criterion below its title, in lines."""
    lines = [clean(line) for line in each.elsewhere]
    if each.decision.by is not None:
        lines.append(clean(_message(each)))
        if requirement := _requirement(each):
            lines.append(clean(requirement))
        if counterexample := _counterexample_of(each):
            lines.append("Smallest counterexample:")
            lines += [f"| {line}" for line in clean(counterexample).splitlines()]
    return "\n".join(lines)


def _requirement(each: CheckedCriterion) -> str:
    """The sentence of the property that failed, unless it is the criterion's own."""
    title = "" if each.decision.by is None or _is_unwritten(each) else each.decision.by.title
    return f"Requirement: {title}" if title and title != each.criterion.title else ""
