"""The report as HTML and as text."""

from __future__ import annotations

from grader.checking.public import CheckedCriterion, PublicCriterion, PublicItem
from grader.checking.report import CheckedItem, Report
from grader.scoring.verdict import Decision, Verdict

HOSTILE = "<img src=x onerror=alert(1)> `x` \x1b[31m\u202e"
CRITERION = PublicCriterion("1a.sums", "The rows sum to 1.", 1.0, ("softmax.test_sums",))
ITEM = PublicItem("1a", "Softmax", (CRITERION,), ("1a.order",))
WRONG = Verdict("softmax.test_sums", "failed", f"your code raised {HOSTILE}", f"x = {HOSTILE}", "Each row sums to 1.")


def report(*criteria: CheckedCriterion, note: str = "") -> Report:
    return Report("Layers", (CheckedItem(ITEM, criteria, note),), "Upload it.")


def test_what_code_says_is_made_harmless() -> None:
    html = report(CheckedCriterion(CRITERION, Decision("failed", WRONG)))._repr_html_()
    assert "<img" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "&lt;img src=x" in html
    text = str(report(CheckedCriterion(CRITERION, Decision("failed", WRONG))))
    assert "\x1b" not in text


def test_a_failure_says_what_and_where() -> None:
    found = report(CheckedCriterion(CRITERION, Decision("failed", WRONG)))
    text = str(found)
    assert "✗ The rows sum to 1." in text
    assert "Requirement: Each row sums to 1." in text
    assert "0 of 1 public checks passed." in text
    assert "Not checked here, but graded: 1a order." in text
    assert text.endswith("Upload it.")
    assert found.statuses == {"1a.sums": "failed"}


def test_what_is_not_written_yet_needs_no_counterexample() -> None:
    message = "Softmax is not implemented yet"
    todo = Verdict("softmax.test_sums", "failed", f"your code raised NotImplementedError: {message}", "x = 1")
    found = report(CheckedCriterion(CRITERION, Decision("failed", todo)))
    for shown in (str(found), found._repr_html_()):
        assert "Softmax is not implemented yet" in shown
        assert "counterexample" not in shown
        assert "raised" not in shown


def test_what_passes_with_a_fault_elsewhere_says_so() -> None:
    found = report(CheckedCriterion(CRITERION, Decision("passed"), ("This could not be checked: the sums are off.",)))
    assert "the sums are off" in str(found)
    assert "the sums are off" in found._repr_html_()
    assert "✓" in str(found)


def test_an_item_that_cannot_be_checked_says_why() -> None:
    found = report(note="not checked: it needs nltk; run %pip install nltk")
    assert "%pip install nltk" in str(found)
    assert "%pip install nltk" in found._repr_html_()
