"""The result for a terminal, laid out for 80 to 120 columns.

All text goes through `safe_text` and is printed as rich `Text`, which takes nothing in it for markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, ConsoleRenderable, Group, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ..results import Cell, CriterionResult, ItemResult, Result
from .safe_text import LONG, clean, one_line

if TYPE_CHECKING:
    from ..doctor import Finding

_BAR = 10
_WIDTH = 110
_WAITS = {"training": "training", "manual": "a person", "automatic": "not judged"}
_COLOUR = {
    "passed": "green",
    "partial": "yellow",
    "failed": "red",
    "pending": "bright_black",
    "error": "magenta",
}


def points(value: float) -> str:
    """Points without noise: `3`, `0.5`, `16.25`."""
    return f"{round(value, 4):.4f}".rstrip("0").rstrip(".")


def print_result(result: Result, console: Console | None = None) -> None:
    """Prints `result`; on a terminal that is not UTF-8, in ASCII."""
    console = console or Console()
    console.print(render(result, ascii_only=console.options.ascii_only), width=min(console.width, _WIDTH))


def render(result: Result, *, ascii_only: bool = False) -> ConsoleRenderable:
    """Everything that a person wants to read about one submission, the totals last."""
    return Group(*_Layout(ascii_only).sections(result))


def print_findings(findings: Sequence[Finding], console: Console | None = None) -> None:
    """Prints what `grader.doctor` found about this host: a row each, with what helps below where something does."""
    console = console or Console()
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
            detail.append("\n").append_text(layout.line(finding.remedy, "yellow"))
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
        yield self.heading("Homework 3", self.line(result.submission, "bold"))
        if result.error is not None:
            yield self.entry("error", self.line(result.error, "bold red"))
        if result.items:
            yield self.table(result.items)
        yield from self.findings(result.items)
        yield from self.remarks(result)
        yield from self.fine_print(result)
        if result.items:
            yield self.totals(result)
        yield Text()

    def heading(self, title: str, more: Text | None = None) -> ConsoleRenderable:
        head = Text(title, "bold cyan")
        if more:
            head.append("  ").append_text(more)
        head.truncate(_WIDTH - 10, overflow="ellipsis" if not self.ascii_only else "crop")
        return Rule(head, align="left", style="cyan", characters="-" if self.ascii_only else "─")

    def entry(self, status: str, body: Text) -> ConsoleRenderable:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=3, justify="right")
        grid.add_column(ratio=1)
        grid.add_row(Text(self.sign(status), _COLOUR[status]), body)
        return grid

    def bar(self, item: ItemResult) -> Text:
        if item.status == "pending":
            return Text(_WAITS[item.kind], "bright_black")
        full, empty, open_ = ("#", "-", ".") if self.ascii_only else ("█", "░", "·")
        whole = item.max_points or 1.0
        earned = round(_BAR * (item.points or 0.0) / whole)
        waiting = min(round(_BAR * item.pending / whole), _BAR - earned)
        bar = Text(full * earned, _COLOUR[item.status])
        bar.append(empty * (_BAR - earned - waiting), "red")
        return bar.append(open_ * waiting, "bright_black")

    def table(self, items: Sequence[ItemResult]) -> ConsoleRenderable:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
        table.add_column(width=2, justify="right")
        table.add_column(no_wrap=True)
        table.add_column(min_width=20)
        table.add_column(width=_BAR, no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        for before, item in zip([None, *items], items, strict=False):
            if before is not None and before.id[:1] != item.id[:1]:
                table.add_row()
            dim = "bright_black" if item.status == "pending" else ""
            earned = "–" if item.points is None else points(item.points)
            table.add_row(
                Text(self.sign(item.status), _COLOUR[item.status]),
                Text(self.spell(item.id), dim or "bold"),
                self.line(item.title, dim).append_text(self.lost(item)),
                self.bar(item),
                Text(self.spell(f"{earned} / {points(item.max_points)}"), dim),
            )
        return Padding(table, (0, 0, 1, 0))

    def lost(self, item: ItemResult) -> Text:
        """The criteria that gave no points, on a line of their own."""
        words = Text()
        for criterion in item.criteria:
            if criterion.status != "passed":
                name = criterion.id.partition(".")[2]
                waits = " (waits)" if criterion.status == "error" else ""
                words.append(", " if words else "\n")
                words.append(self.spell(name + waits), _COLOUR[criterion.status])
        return words

    def findings(self, items: Sequence[ItemResult]) -> Iterator[ConsoleRenderable]:
        lost = list(_alike(items, "failed"))
        if lost:
            yield self.heading("What failed")
            for item, criteria in lost:
                yield from self.criteria(item, criteria)
        broken = list(_alike(items, "error"))
        if broken:
            yield self.heading("What the grader could not judge")
            yield Padding(Text("This is the grader's fault and costs nothing.", "bright_black"), (0, 4))
            for item, criteria in broken:
                yield from self.criteria(item, criteria)
        notes = [(item, note) for item in items for note in item.notes]
        if notes:
            yield self.heading("How it was judged")
            for item, note in notes:
                yield self.entry("pending", Text(f"{item.id} ", "bold").append_text(self.line(note)))
            yield Text()

    def criteria(self, item: ItemResult, criteria: Sequence[CriterionResult]) -> Iterator[ConsoleRenderable]:
        """A block for criteria of one item that went wrong in the same way."""
        criterion = criteria[0]
        colour = _COLOUR[criterion.status]
        head = Text(self.spell(", ".join(each.id for each in criteria)), f"bold {colour}")
        head.append("  ").append_text(self.line(item.title, "bold"))
        kept = "waiting" if criterion.status == "error" else "lost"
        head.append(f"  {points(sum(each.max_points for each in criteria))} {kept}", "bright_black")
        yield self.entry(criterion.status, head)
        yield Padding(self.text(criterion.message), (0, 0, 0, 4))
        law = criterion.law or criterion.title
        yield Padding(Text("law  ", "bright_black").append_text(self.line(law, "italic")), (0, 0, 0, 4))
        if criterion.counterexample:
            yield Padding(Text("smallest counterexample", "bright_black"), (0, 0, 0, 4))
            yield _Quoted(self.text(criterion.counterexample), "|" if self.ascii_only else "│", colour)
        yield Text()

    def remarks(self, result: Result) -> Iterator[ConsoleRenderable]:
        odd = [cell for cell in result.cells if cell.decision != "run" or cell.status != "ok"]
        if odd:
            yield self.heading("Cells that did not simply run")
            yield self.cells(odd)
            yield Text()
        if result.flags:
            yield self.heading("For a person to look at")
            for flag in result.flags:
                place = "" if flag.cell is None else f"cell {flag.cell}"
                place += "" if flag.line is None else f" line {flag.line}"
                body = self.line(flag.kind, "bold").append("  ").append_text(self.line(flag.message))
                yield self.entry(
                    "partial", body.append(f"  {place.strip()}" if place else "", "bright_black")
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
                why.append_text(self.line(cell.error, "red"))
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
        grid.add_column(style="bright_black", justify="right", min_width=9)
        grid.add_column(ratio=1, style="bright_black")
        for name, value in facts:
            grid.add_row(name, self.line(value, "yellow" if name == "without" else ""))
        yield grid

    def totals(self, result: Result) -> ConsoleRenderable:
        total = Text(f"{points(result.score)} of {points(result.max_score)} judged", "bold")
        if result.pending:
            total.append(f"; {waiting_words(result.items)}", "not bold")
        return Padding(total, (1, 0, 0, 1))


def _alike(
    items: Sequence[ItemResult], status: str
) -> Iterator[tuple[ItemResult, Sequence[CriterionResult]]]:
    """The criteria with this status, those of an item together whose findings are the same."""
    for item in items:
        groups: dict[tuple[str, str | None, str | None], list[CriterionResult]] = {}
        for criterion in item.criteria:
            if criterion.status == status:
                finding = (criterion.message, criterion.law, criterion.counterexample)
                groups.setdefault(finding, []).append(criterion)
        for criteria in groups.values():
            yield item, criteria


def waiting_words(items: Sequence[ItemResult]) -> str:
    """Who the open points wait for: `16 wait for a person, 1 for training or a person`."""
    names = {"manual": "a person", "training": "training or a person", "automatic": "`grader grade`"}
    causes = dict.fromkeys((*names.values(), "the grader's repair"), 0.0)
    for item in items:
        causes["the grader's repair" if item.status != "pending" else names[item.kind]] += item.pending
    parts = [f"{points(amount)} for {cause}" for cause, amount in causes.items() if amount]
    return ", ".join(parts).replace(" for ", " wait for ", 1)
