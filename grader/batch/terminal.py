"""What `grader batch` and `grader rescore` print when they are done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from grader.batch.fairness import Fairness, rate_in_words
from grader.batch.falls import Fall
from grader.batch.rescore import Change
from grader.batch.run import Outcome
from grader.gradebook.overrides import NAME as OVERRIDES
from grader.report.console import output
from grader.report.terminal import points
from grader.text.safe_text import one_line

MOST_CHANGES = 40
MOST_PROBLEMS = 10


def print_batch(outcome: Outcome, folder: Path, console: Console | None = None) -> None:
    """Print what a batch did and where the reports lie."""
    console = console or output()
    trained = f", {outcome.trained} trained" if outcome.trained else ""
    lines = [
        f"{outcome.judged} judged{trained} now, {outcome.known} graded before, {len(outcome.members)} students"
    ]
    lines += [f"{count} not trained: {reason}" for reason, count in outcome.untrained.items()]
    if outcome.left:
        lines.append(f"{outcome.left} left; run the same command again to continue")
    if outcome.scores:
        lines.append(outcome.scores)
    if outcome.gone:
        lines.append(f"no longer in the class: {_named(outcome.gone)}")
    if outcome.strange:
        lines.append(f"files that may belong to no student: {_named(outcome.strange)}")
    lines += imported_lines(outcome.imported)
    problems = [
        f"{member.key}: {result.error}"
        for member in outcome.members
        if (result := outcome.results.get(member.key)) is not None and result.error is not None
    ]
    problems += [line for line in outcome.lost if not any(line.endswith(known) for known in problems)]
    lines += problems[:MOST_PROBLEMS]
    if len(problems) > MOST_PROBLEMS:
        lines.append(f"and {len(problems) - MOST_PROBLEMS} more, see summary.md")
    if outcome.restarts > 0:
        lines.append(f"the warm parent of the kernels was restarted {outcome.restarts} times")
    lines += fairness_lines(outcome.fairness) + fallen_lines(outcome.fell)
    names = ("report.html", "grades.csv", "summary.md", *(["recheck.md"] if outcome.fairness else []))
    lines.append(f"reports: {', '.join(str(folder / name) for name in names)}")
    for line in lines:
        console.print(Text(one_line(line)), soft_wrap=True)


def fairness_lines(fairness: Fairness | None) -> list[str]:
    """What judging again with other seeds found, in words."""
    if fairness is None:
        return []
    lines = [rate_in_words(fairness.submissions, "submissions"), rate_in_words(fairness.verdicts, "verdicts")]
    changed = [
        f"{', '.join(each.keys)}: {each.criterion}: {each.property_name} {each.in_words}" for each in fairness.changed
    ]
    more = [f"and {len(changed) - MOST_PROBLEMS} more, see recheck.md"] if len(changed) > MOST_PROBLEMS else []
    seeds = f"{fairness.seeds} other seed{'' if fairness.seeds == 1 else 's'}"
    return [f"judged again with {seeds}: {'; '.join(lines)}", *changed[:MOST_PROBLEMS], *more]


def fallen_lines(fell: Sequence[Fall]) -> list[str]:
    """Which grades fell in this run, in words."""
    if not fell:
        return []
    lines = [
        f"{fall.key}: {fall.criterion or fall.item}: {points(fall.before)} -> {points(fall.after)}: "
        f"{fall.verdict} ({fall.cause})"
        for fall in fell
    ]
    more = [f"and {len(lines) - MOST_PROBLEMS} more, see report.html"] if len(lines) > MOST_PROBLEMS else []
    return [f"grades that fell in this run: {len(lines)}", *lines[:MOST_PROBLEMS], *more]


def imported_lines(imported: Sequence[str]) -> list[str]:
    """What was imported from overrides.yaml, in words."""
    if not imported:
        return []
    more = [f"and {len(imported) - MOST_PROBLEMS} more"] if len(imported) > MOST_PROBLEMS else []
    return [f"imported from {OVERRIDES} into the gradebook: {len(imported)}", *imported[:MOST_PROBLEMS], *more]


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def print_changes(
    changes: Sequence[Change], before: float, after: float, console: Console | None = None
) -> None:
    """Print whose score changes, and by how much."""
    console = console or output()
    if before != after:
        console.print(f"the rubric's total: {points(before)} -> {points(after)}")
    if not changes:
        console.print("no submission's points change")
        return
    table = Table("submission", "before", "after", "change", "items", box=None, pad_edge=False)
    largest = sorted(changes, key=lambda change: (-abs(change.after - change.before), change.key))
    for change in largest[:MOST_CHANGES]:
        items = ", ".join(f"{item} {_given(was)} -> {_given(now)}" for item, was, now in change.items)
        difference = change.after - change.before
        sign = "+" if difference >= 0 else "-"
        table.add_row(
            Text(one_line(change.key)),
            points(change.before),
            points(change.after),
            sign + points(abs(difference)),
            Text(items),
        )
    console.print(table)
    if len(changes) > MOST_CHANGES:
        console.print(f"and {len(changes) - MOST_CHANGES} more")
    differences = [change.after - change.before for change in changes]
    console.print(
        f"{len(changes)} submissions change: {sum(d > 0 for d in differences)} gain, "
        f"{sum(d < 0 for d in differences)} lose"
    )


def _given(value: float | None) -> str:
    return "-" if value is None else points(value)
