"""What pydantic finds wrong with the form of a rubric file, in the file's own words and with its lines."""

from __future__ import annotations

from pydantic import ValidationError

from grader.files.located_yaml import Fault, Lines, Plain, Where


def _locate(where: tuple[str | int, ...], lines: Lines) -> tuple[Where, int]:
    """The deepest place that the file has on the way; pydantic's own steps (union tags) are passed over."""
    found: Where = ()
    for step in where:
        if (*found, step) in lines:
            found = (*found, step)
    return found, lines.get(found, 1)


_PLAIN_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known key here",
    "union_tag_not_found": "needs a kind: automatic, training or manual",
    "union_tag_invalid": "kind must be automatic, training or manual",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "too_short": "must not be empty",
}


def _label(where: Where, plain: Plain) -> str:
    """The place in words that the file uses: `1a.sums points` rather than `items.6.criteria.2.points`."""
    words: list[str] = []
    for step in where:
        if isinstance(plain, dict):
            words.append(str(step))
            plain = plain.get(str(step))
        elif isinstance(plain, tuple) and isinstance(step, int):
            plain = plain[step]
            name = plain.get("id") if isinstance(plain, dict) else None
            words = [name] if isinstance(name, str) else [*words, f"[{step}]"]
    return " ".join(words) or "the rubric"


def faults_of_form(error: ValidationError, lines: Lines, plain: Plain) -> list[Fault]:
    """What is wrong with the form of a rubric file, each fault once."""
    details = error.errors(include_url=False, include_context=False)
    places = [_locate(detail["loc"], lines)[0] for detail in details]
    strange = {place[:-1] for detail, place in zip(details, places, strict=True) if detail["type"] == "extra_forbidden"}
    faults: dict[tuple[int, str], Fault] = {}
    for detail, place in zip(details, places, strict=True):
        absent = detail["type"] == "missing"
        # A misspelt key is also a missing one, and a list of faulty entries alone passes for an empty one.
        if (absent and place in strange) or (
            detail["type"] == "too_short" and any(other[: len(place)] == place != other for other in places)
        ):
            continue
        label = _label((*place, detail["loc"][-1]) if absent else place, plain)
        reason = _PLAIN_WORDS.get(detail["type"], detail["msg"].removeprefix("Value error, "))
        fault = Fault(lines.get(place, 1), f"{label}: {reason}")
        faults.setdefault((fault.line, fault.reason), fault)
    return list(faults.values())
