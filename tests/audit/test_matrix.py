"""What an audit says of verdicts that are wrong."""

from __future__ import annotations

import io
import json

from rich.console import Console

from grader.audit.corpus import Case, Entry
from grader.audit.matrix import examine, print_findings, print_matrix, to_json
from grader.audit.run import Verdict


def judged(kind: str, name: str, loses: tuple[str, ...], *lost: str) -> tuple[Case, Verdict]:
    entry = Entry(id=name, kind=kind, title=name.title(), code="pass", loses=loses)
    pairs = tuple((criterion, "because") for criterion in lost)
    return Case("2a", entry, ()), Verdict(f"2a/{name}", pairs, (), (), 1.0)


def test_every_kind_of_wrong_verdict_is_found() -> None:
    rows = [
        judged("mutant", "caught", ("2a.mask",), "2a.mask"),
        judged("mutant", "survivor", ("2a.mask",)),
        judged("mutant", "half", ("2a.mask", "2a.softmax"), "2a.mask"),
        judged("mutant", "elsewhere", ("2a.mask",), "2a.mask", "2b.mask"),
        judged("variant", "right", ()),
        judged("variant", "wronged", (), "2a.values"),
    ]
    found = examine(rows, ["2a.mask", "2a.softmax", "2a.values"])
    assert [line.split(":")[0] for line in found.survivors] == ["2a/survivor"]
    assert [line.split(":")[0] for line in found.missed] == ["2a/half"]
    assert found.misplaced == ["2a/elsewhere lost 2b.mask: because"]
    assert found.unfair == ["2a/wronged lost 2a.values: because"]
    assert found.unnamed == ["2a.values"]
    assert found.wrong == 5


def test_criteria_that_fail_together_are_named() -> None:
    rows = [judged("mutant", "both", ("2a.mask", "2a.softmax"), "2a.mask", "2a.softmax")]
    assert examine(rows, ["2a.mask", "2a.softmax"]).alike == ["2a.mask, 2a.softmax"]


def test_print_and_json() -> None:
    rows = [judged("mutant", "survivor", ("2a.mask",)), judged("variant", "right", ())]
    found = examine(rows, ["2a.mask"])
    out = io.StringIO()
    console = Console(file=out, width=100)
    print_matrix(rows, ["2a.mask", "2a.softmax"], console)
    print_findings(found, rows, console)
    assert "missed" in out.getvalue()
    assert "1 mutants, 1 variants: 1 survivors" in out.getvalue()
    data = json.loads(to_json(rows, found))
    assert data["verdicts"][0]["loses"] == ["2a.mask"]
    assert list(data["wrong"]) == ["Survivors: wrong answers that lose nothing"]
