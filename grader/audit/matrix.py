"""What an audit found: the kill matrix, and every verdict that is wrong."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from grader.audit.corpus import Case
from grader.audit.run import Verdict
from grader.report.console import FAILURE, QUIET, SUCCESS
from grader.text.safe_text import one_line

Judged = Sequence[tuple[Case, Verdict]]


@dataclass
class Findings:
    """Wrong verdicts by kind, a line each, and what the corpus leaves open."""

    survivors: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    unfair: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    alike: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """How many findings there are."""
        return sum(len(lines) for _, lines in self.kinds())

    def kinds(self) -> list[tuple[str, list[str]]]:
        """Headings with their lines."""
        return [
            ("Survivors: wrong answers that lose nothing", self.survivors),
            ("Wrong answers that do not lose all that they must", self.missed),
            ("Points lost in the wrong place", self.misplaced),
            ("Right answers that lose points", self.unfair),
            ("The grader's own errors", self.errors),
            ("Criteria that no wrong answer loses", self.unnamed),
            ("Criteria that fail on the same wrong answers", self.alike),
        ]


def examine(judged: Judged, criteria: Iterable[str] = ()) -> Findings:
    """Compare verdicts with what the corpus asks for; ``criteria`` are those that a whole corpus has to cover."""
    found = Findings()
    for case, verdict in judged:
        must, lost = frozenset(case.entry.loses), verdict.criteria
        found.errors += [f"{case.name}: {error}" for error in verdict.errors]
        words = {criterion: f"{criterion}: {message}" for criterion, message in verdict.lost}
        extra = [f"{case.name} lost {words[criterion]}" for criterion in sorted(lost - must)]
        if case.entry.kind == "variant":
            found.unfair += extra
            continue
        found.misplaced += extra
        if not lost & must:
            found.survivors.append(f"{case.name}: {case.entry.title} ({', '.join(sorted(must))})")
        elif must - lost:
            found.missed.append(f"{case.name}: {case.entry.title} (kept {', '.join(sorted(must - lost))})")
    _cover(found, judged, list(criteria))
    return found


def _cover(found: Findings, judged: Judged, criteria: Sequence[str]) -> None:
    named: dict[str, set[str]] = {criterion: set() for criterion in criteria}
    for case, _ in judged:
        for criterion in case.entry.loses:
            named.setdefault(criterion, set()).add(case.name)
    found.unnamed = [criterion for criterion, names in named.items() if not names]
    same: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    for criterion in criteria:
        if named[criterion]:
            same[frozenset(named[criterion])].append(criterion)
    found.alike = [", ".join(group) for group in same.values() if len(group) > 1]


def print_matrix(judged: Judged, criteria: Sequence[str], console: Console) -> None:
    """For each part a table: a row for each entry, a column for each criterion of the part, and the rest."""
    parts = list(dict.fromkeys(case.part for case, _ in judged))
    for part in parts:
        rows = [(case, verdict) for case, verdict in judged if case.part == part]
        own = [criterion for criterion in criteria if criterion.startswith(part + ".")]
        table = Table(title=f"{part}: what each wrong answer loses", title_justify="left", box=None)
        table.add_column("mutant")
        for criterion in own:
            table.add_column(criterion.removeprefix(part + "."), justify="center")
        table.add_column("elsewhere")
        for case, verdict in rows:
            if case.entry.kind == "mutant":
                table.add_row(case.entry.id, *(_mark(case, verdict, name) for name in own), _others(case, verdict))
        variants = [(case, verdict) for case, verdict in rows if case.entry.kind == "variant"]
        kept = sum(not verdict.lost and not verdict.errors for _, verdict in variants)
        console.print(table)
        console.print(f"{kept} of {len(variants)} right answers have full marks\n", highlight=False)


def _mark(case: Case, verdict: Verdict, criterion: str) -> Text:
    must, lost = criterion in case.entry.loses, criterion in verdict.criteria
    if must and lost:
        return Text("x", SUCCESS)
    if must:
        return Text("missed", f"bold {FAILURE}")
    return Text("WRONG", f"bold {FAILURE}") if lost else Text("·", QUIET)


def _others(case: Case, verdict: Verdict) -> Text:
    lost = sorted(name for name in verdict.criteria if not name.startswith(case.part + "."))
    return Text(" ".join(lost), f"bold {FAILURE}")


def print_findings(found: Findings, judged: Judged, console: Console) -> None:
    """Every wrong verdict with its reason, and the totals."""
    for heading, lines in found.kinds():
        if lines:
            console.print(Text(f"{heading}: {len(lines)}", f"bold {FAILURE}"))
            for line in lines:
                console.print(Text("  " + one_line(line)))
    mutants = len({case.name for case, _ in judged if case.entry.kind == "mutant"})
    variants = len({case.name for case, _ in judged if case.entry.kind == "variant"})
    console.print(
        f"{mutants} mutants, {variants} variants: {len(found.survivors)} survivors, {len(found.missed)} half caught, "
        f"{len(found.misplaced)} points lost in the wrong place, {len(found.unfair)} variants wrongly marked, "
        f"{len(found.errors)} errors of the grader",
        highlight=False,
        soft_wrap=True,
    )


def to_json(judged: Judged, found: Findings) -> str:
    """All verdicts and findings."""
    rows = [
        {
            "name": case.name,
            "kind": case.entry.kind,
            "title": case.entry.title,
            "loses": sorted(case.entry.loses),
            "lost": dict(verdict.lost),
            "errors": list(verdict.errors),
            "notes": list(verdict.notes),
            "seconds": verdict.seconds,
        }
        for case, verdict in judged
    ]
    wrong = {heading: lines for heading, lines in found.kinds() if lines}
    return json.dumps({"verdicts": rows, "wrong": wrong}, indent=2, ensure_ascii=False) + "\n"
