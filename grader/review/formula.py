"""The formula check beside an answer: what a grader types, or the student wrote, against the model answer. Advice, no score."""

from __future__ import annotations

from starlette.responses import Response

from grader.errors import UsageError
from grader.insight.formulas import Checker
from grader.review.classroom import Class
from grader.review.web import Call


def quantities_of(klass: Class, item: str) -> tuple[str, ...]:
    """What an item asks formulas for; empty where it asks for none."""
    asked = klass.homework.formulas.get(item)
    return () if asked is None else asked.quantities


def check(call: Call) -> Response:
    """Check formulas and say what was found."""
    klass = call.site.room.klass
    answer = klass.answer(call.path["item"], call.path["handle"])
    text = call.form.get("formula", "").strip() or answer.text
    asked = klass.homework.formulas.get(answer.item)
    if asked is None:
        raise UsageError(f"{answer.item}: asks for no formula")
    checker = Checker(asked.notation, asked.quantities, klass.questions[answer.item].model_answer)
    found = [{"verdict": one.verdict.value, "message": one.message} for one in checker.check(text)]
    if call.by_script:
        return call.done("checked", findings=found)
    return call.page("formula.html", findings=found, text=text, back=f"/item/{answer.item}/{answer.handle}")
