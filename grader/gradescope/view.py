"""Shows results.json as a student sees it on the platform, or as an instructor does."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from grader.report.console import FAILURE, NOTICE, QUIET, SUCCESS, output
from grader.text.safe_text import clean, one_line


def print_view(results: dict[str, Any], console: Console | None = None, *, instructor: bool = False) -> None:
    """Print the tests that this reader sees; a student before due date and publication."""
    console = console or output()
    overall = results.get("visibility", "visible")
    tests = [(test, test.get("visibility", overall)) for test in results.get("tests", [])]
    waiting = sorted({seen for _, seen in tests if seen.startswith("after_")})
    console.print(Text("What the instructor sees" if instructor else "What the student sees", "bold"))
    if results.get("output"):
        console.print(Text(clean(results["output"])))
    if waiting and not instructor:
        when = " and ".join(name.replace("_", " ") for name in waiting)
        console.print(Text(f"Total: hidden until all tests are shown: {when}", "bold"))
    else:
        total = results.get("score", sum(test.get("score", 0) for test, _ in tests))
        of = sum(test.get("max_score", 0) for test, _ in tests)
        console.print(Text(f"Total: {total:g} / {of:g}", "bold"))
    console.print()
    for test, seen in tests:
        if seen != "visible" and not instructor:
            continue
        passed = test.get("status", "passed") == "passed"
        head = Text("+ " if passed else "x ", SUCCESS if passed else FAILURE)
        head.append(f"{test.get('number', '')}) {one_line(test.get('name', ''))}")
        head.append(f" ({test.get('score', 0):g}/{test.get('max_score', 0):g})", "bold")
        if seen != "visible":
            head.append(f"  [{seen}]", NOTICE)
        console.print(head)
        if not passed or instructor:
            for line in clean(test.get("output", "")).splitlines():
                console.print(Text("    " + line, QUIET))
