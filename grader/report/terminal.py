"""The result for a terminal, laid out for 80 to 120 columns.

All text goes through `safe_text` and is printed as rich `Text`, which takes nothing in it for markup.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, ConsoleRenderable, Group, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from grader.report.console import ERROR, FAILURE, NOTICE, QUIET, SUCCESS, output
from grader.report.finding import Finding
from grader.scoring.result import Cell, CriterionResult, ItemResult, Result
from grader.text.safe_text import LONG, clean, one_line

if TYPE_CHECKING:
    from grader.scoring.rubric import Criterion

_BAR = 10
_WIDTH = 110
_WAITS = {"training": "training", "manual": "manual", "automatic": "not judged"}
_COLOUR = {"passed": SUCCESS, "partial": NOTICE, "failed": FAILURE, "pending": QUIET, "error": ERROR}
Unchecked = Mapping[str, Sequence["Criterion"]]
"""Criteria that were left out on purpose, by item."""


def points(value: float) -> str:
    """Points without noise: `3`, `0.5`, `16.25`."""
    return f"{round(value, 4):.4f}".rstrip("0").rstrip(".")


def print_result(result: Result, console: Console | None = None, *, unchecked: Unchecked | None = None) -> None:
    """Prints `result`; on a terminal that is not UTF-8, in ASCII. ``unchecked`` criteria are named as such."""
    console = console or output()
    layout = render(result, ascii_only=console.options.ascii_only, unchecked=unchecked)
    console.print(layout, width=min(console.width, _WIDTH))


def render(
    result: Result, *, ascii_only: bool = False, unchecked: Unchecked | None = None
) -> ConsoleRenderable:
    """Everything that a person wants to read about one submission, with the score first and last."""
    return Group(*_Layout(ascii_only, unchecked or {}).sections(result))


def print_findings(findings: Sequence[Finding], console: Console | None = None) -> None:
    """Prints what `grader.doctor` found about this host: a row each, with what helps below where something does."""
    console = console or output()
    layout = _Layout(console.options.ascii_only)
    status = {True: "passed", False: "failed", None: "pending"}
    table = Table.grid(padding=(0, 2))
    table.add_column(width=1)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(ratio=1)
    for finding in findings:
        sign = Text(layout.sign(status[finding.ok]), _COLOUR[status[finding.ok]])
        detail = layout.line(finding.detail)
        if finding.remedy:
            detail.append("\n").append_text(layout.line(finding.remedy, NOTICE))
        table.add_row(sign, layout.line(finding.name), detail)
    console.print(table, width=min(console.width, _WIDTH))


@dataclass(frozen=True)
class _Quoted:
    """A renderable with a bar to its left."""

    body: Text
    bar: str
    style: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        margin = Segment(f"    {self.bar} ", Style.parse(self.style))
        inner = options.update_width(max(options.max_width - 6, 10))
        for line in console.render_lines(self.body, inner, pad=False):
            yield margin
            yield from line
            yield Segment.line()


@dataclass(frozen=True)
class _Layout:
    ascii_only: bool
    unchecked: Unchecked = field(default_factory=dict)

    def text(self, value: str, style: str = "", limit: int = LONG) -> Text:
        return Text(self.spell(clean(value, limit)), style, overflow="fold")

    def line(self, value: str, style: str = "") -> Text:
        return Text(self.spell(one_line(value)), style, overflow="fold")

    def spell(self, value: str) -> str:
        if not self.ascii_only:
            return value
        value = value.replace("…", "...").replace("–", "-")
        return value.encode("ascii", "backslashreplace").decode()

    def sign(self, status: str) -> str:
        signs = {"passed": "✓", "partial": "◐", "failed": "✗", "pending": "·", "error": "!"}
        plain = {"passed": "+", "partial": "~", "failed": "x", "pending": ".", "error": "!"}
        return (plain if self.ascii_only else signs)[status]

    def sections(self, result: Result) -> Iterator[ConsoleRenderable]:
        yield Text()
        yield self.heading(self.line(result.title).plain or "Result", self.line(result.submission, "bold"))
        if result.error is not None:
            yield self.entry("error", self.line(result.error, f"bold {FAILURE}"))
        if result.items:
            yield self.totals(result)
            yield Text()
            yield self.table(result.items)
        yield from self.findings(result.items)
        yield from self.remarks(result)
        yield from self.fine_print(result)
        if result.items:
            yield Text()
            yield self.totals(result)
        yield Text()

    def heading(self, title: str, more: Text | None = None) -> ConsoleRenderable:
        head = Text(title, "bold")
        if more:
            head.append("  ").append_text(more)
        head.truncate(_WIDTH - 10, overflow="ellipsis" if not self.ascii_only else "crop")
        return Rule(head, align="left", style=QUIET, characters="-" if self.ascii_only else "─")

    def entry(self, status: str, body: Text) -> ConsoleRenderable:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=3, justify="right")
        grid.add_column(ratio=1)
        grid.add_row(Text(self.sign(status), _COLOUR[status]), body)
        return grid

    def bar(self, item: ItemResult) -> Text:
        if item.status == "pending":
            return Text(_WAITS[item.kind], QUIET)
        full, empty, open_ = ("#", "-", ".") if self.ascii_only else ("█", "░", "·")
        left_out = sum(criterion.points for criterion in self.unchecked.get(item.id, ()))
        whole = item.max_points + left_out or 1.0
        earned = round(_BAR * (item.points or 0.0) / whole)
        waiting = min(round(_BAR * (item.pending + left_out) / whole), _BAR - earned)
        bar = Text(full * earned, _COLOUR[item.status])
        bar.append(empty * (_BAR - earned - waiting), FAILURE)
        return bar.append(open_ * waiting, QUIET)

    def table(self, items: Sequence[ItemResult]) -> ConsoleRenderable:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
        table.add_column(width=2, justify="right")
        table.add_column(no_wrap=True)
        table.add_column(min_width=20)
        table.add_column(width=_BAR, no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        for before, item in zip([None, *items], items, strict=False):
            if before is not None and _problem(before) != _problem(item):
                table.add_row()
            dim = QUIET if item.status == "pending" else ""
            earned = "–" if item.points is None else points(item.points)
            # Where most criteria were left out, a check mark would promise too much.
            sign = "pending" if item.status == "passed" and self.unchecked.get(item.id) else item.status
            table.add_row(
                Text(self.sign(sign), _COLOUR[sign]),
                Text(self.spell(item.id), dim or "bold"),
                self.line(item.title, dim).append_text(self.lost(item)),
                self.bar(item),
                Text(self.spell(f"{earned} / {points(item.max_points)}"), dim),
            )
        return Padding(table, (0, 0, 1, 0))

    def lost(self, item: ItemResult) -> Text:
        """The criteria that gave no points, on a line of their own, and those that were not checked on another."""
        words = Text()
        for criterion in item.criteria:
            if criterion.status != "passed":
                name = criterion.id.partition(".")[2]
                waits = " (pending)" if criterion.status == "error" else ""
                words.append(", " if words else "\n")
                words.append(self.spell(name + waits), _COLOUR[criterion.status])
        if left_out := self.unchecked.get(item.id):
            names = ", ".join(criterion.id.partition(".")[2] for criterion in left_out)
            words.append("\n").append_text(self.line(f"not checked: {names}", QUIET))
        return words

    def findings(self, items: Sequence[ItemResult]) -> Iterator[ConsoleRenderable]:
        lost = list(_alike(items, "failed"))
        if lost:
            yield self.heading("What failed")
            for item, criteria in lost:
                yield from self.criteria(item, criteria)
        broken = list(_alike(items, "error"))
        if broken:
            yield self.heading("Not judged")
            yield Padding(Text("The grader failed here; no points are lost.", QUIET), (0, 4))
            for item, criteria in broken:
                yield from self.criteria(item, criteria)
        notes = [(item, note) for item in items for note in item.notes]
        if notes:
            yield self.heading("Notes")
            for item, note in notes:
                yield self.entry("pending", Text(f"{item.id} ", "bold").append_text(self.line(note)))
            yield Text()

    def criteria(self, item: ItemResult, criteria: Sequence[CriterionResult]) -> Iterator[ConsoleRenderable]:
        """A block for criteria of one item that went wrong in the same way."""
        criterion = criteria[0]
        colour = _COLOUR[criterion.status]
        head = Text(self.spell(", ".join(each.id for each in criteria)), f"bold {colour}")
        head.append("  ").append_text(self.line(item.title, "bold"))
        kept = "pending" if criterion.status == "error" else "lost"
        amount = sum(each.max_points for each in criteria)
        head.append(f"  {points(amount)} {'point' if amount == 1 else 'points'} {kept}", QUIET)
        yield self.entry(criterion.status, head)
        yield Padding(self.text(criterion.message), (0, 0, 0, 4))
        if len({each.requirement for each in criteria}) == 1:
            requirement = criterion.requirement or criterion.title
            yield Padding(Text("Requirement: ", QUIET).append_text(self.line(requirement, "italic")), (0, 0, 0, 4))
        if criterion.counterexample:
            yield Padding(Text("Smallest counterexample:", QUIET), (0, 0, 0, 4))
            yield _Quoted(self.text(criterion.counterexample), "|" if self.ascii_only else "│", colour)
        yield Text()

    def remarks(self, result: Result) -> Iterator[ConsoleRenderable]:
        odd = [cell for cell in result.cells if cell.decision != "run" or cell.status != "ok"]
        if odd:
            yield self.heading("Cells skipped, changed or failed")
            yield self.cells(odd)
            yield Text()
        if result.flags:
            yield self.heading("Needs review")
            for flag in result.flags:
                place = "" if flag.cell is None else f"cell {flag.cell}"
                place += "" if flag.line is None else f" line {flag.line}"
                body = self.line(flag.kind, "bold").append("  ").append_text(self.line(flag.message))
                yield self.entry(
                    "partial", body.append(f"  {place.strip()}" if place else "", QUIET)
                )
            yield Text()
        if result.warnings:
            yield self.heading("Warnings")
            for warning in result.warnings:
                yield self.entry("partial", self.line(warning))
            yield Text()
        for penalty in result.penalties:
            reason = self.line(penalty.reason or penalty.id).append(f"  −{points(penalty.percent)} %")
            yield self.entry("failed", Text(self.spell(reason.plain)))

    def cells(self, cells: Sequence[Cell]) -> ConsoleRenderable:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(justify="right", min_width=5, style="bold")
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        for cell in cells:
            status = {"raised": "failed", "timeout": "failed", "ok": "passed"}.get(cell.status, "pending")
            word = f"{cell.status}, in part" if cell.decision == "partly" else cell.status
            why = self.line(cell.reason)
            if cell.error:
                if why:
                    why.append("\n")
                why.append_text(self.line(cell.error, FAILURE))
            grid.add_row(str(cell.number), Text(word, _COLOUR[status]), why)
        return grid

    def fine_print(self, result: Result) -> Iterator[ConsoleRenderable]:
        facts: list[tuple[str, str]] = []
        if result.isolation:
            active = [layer.layer for layer in result.isolation if layer.active]
            missing = [
                f"{layer.layer} ({layer.note})" if layer.note else layer.layer
                for layer in result.isolation
                if not layer.active
            ]
            facts.append(("isolation", ", ".join(active) or "none"))
            if missing:
                facts.append(("without", ", ".join(missing)))
        facts.append(("seed", result.seed))
        versions = result.versions.model_dump(exclude_none=True)
        facts.append(("versions", ", ".join(f"{name} {number}" for name, number in versions.items())))
        if result.seconds:
            stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in result.seconds.items())
            facts.append(("time", stages))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style=QUIET, justify="right", min_width=9)
        grid.add_column(ratio=1, style=QUIET)
        for name, value in facts:
            grid.add_row(name, self.line(value, NOTICE if name == "without" else ""))
        yield grid

    def totals(self, result: Result) -> ConsoleRenderable:
        if self.unchecked:
            return Padding(self.line(self.checked(result), "bold"), (0, 0, 0, 1))
        whole = {item.kind for item in result.items if item.status != "pending"} <= {"automatic", "training"}
        words = f"Score: {points(result.score)} / {points(result.max_score)}"
        total = Text(f"{words} (automatic)" if whole and result.pending else words, "bold")
        if result.pending:
            total.append(f". Pending: {pending_words(result.items)}", "not bold")
        return Padding(total, (0, 0, 0, 1))

    def checked(self, result: Result) -> str:
        """What a check of some criteria says about the whole grade."""
        left_out = [criterion for criteria in self.unchecked.values() for criterion in criteria]
        missing = sum(criterion.points for criterion in left_out)
        absent = [item for item in self.unchecked if all(each.id != item for each in result.items)]
        return (
            f"Checked: {points(result.score)} / {points(result.max_score)} points. Not checked: {len(left_out)} criteria "
            f"worth {points(missing)} points. A notebook that passes here can still lose those."
            + (f" Nothing of {' and '.join(absent)} is checked." if absent else "")
        )


def _problem(item: ItemResult) -> str:
    """The number of the problem that an item belongs to: 10 of 10a."""
    return item.id.rstrip(string.ascii_lowercase)


def _alike(
    items: Sequence[ItemResult], status: str
) -> Iterator[tuple[ItemResult, Sequence[CriterionResult]]]:
    """The criteria with this status, those of an item together whose findings are the same."""
    for item in items:
        for criteria in alike(item.criteria, status):
            yield item, criteria


def alike(criteria: Sequence[CriterionResult], status: str) -> list[list[CriterionResult]]:
    """The criteria with this status, those together whose findings are the same."""
    groups: dict[tuple[str, str | None, str | None], list[CriterionResult]] = {}
    for criterion in criteria:
        if criterion.status == status:
            # A class that is not defined fails every criterion by the same words.
            requirement = criterion.requirement if criterion.counterexample else None
            finding = (criterion.message, requirement, criterion.counterexample)
            groups.setdefault(finding, []).append(criterion)
    return list(groups.values())


def pending_words(items: Sequence[ItemResult]) -> str:
    """What the pending points wait for: `16 manual, 1 training`."""
    causes = dict.fromkeys(("manual", "training", "not judged", "grader errors"), 0.0)
    for item in items:
        names = {"manual": "manual", "training": "training", "automatic": "not judged"}
        causes["grader errors" if item.status != "pending" else names[item.kind]] += item.pending
    return ", ".join(f"{points(amount)} {cause}" for cause, amount in causes.items() if amount)
