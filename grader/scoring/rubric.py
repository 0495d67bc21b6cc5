"""The rubric: what each part of the homework is worth, and which properties decide it.

Faults of the file are a RubricError, in which each is a line that reads ``rubric.yaml:LINE: reason``.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, TypeAdapter, ValidationError

from grader.errors import RubricError
from grader.files.located_yaml import Fault, Lines, Plain, Where, read_yaml
from grader.scoring.formats import RUBRIC, RubricVersion
from grader.scoring.result import EvidenceKind
from grader.scoring.rubric_form import faults_of_form

MAX_BYTES = 256 * 1024
_MAX_POINTS = 1000


def _quarters(points: float) -> float:
    if not math.isfinite(points) or points < 0 or points > _MAX_POINTS:
        raise ValueError(f"points must be between 0 and {_MAX_POINTS}")
    if (points * 4) % 1:
        raise ValueError("points must be a multiple of 0.25")
    return points


def _signed_quarters(points: float) -> float:
    _quarters(abs(points))
    return points


Points = Annotated[float, AfterValidator(_quarters)]
Text = Annotated[str, Field(min_length=1, pattern=r"\S")]
_ITEM = r"[1-9][0-9]*[a-z]?"
ItemId = Annotated[str, Field(pattern=f"^{_ITEM}$")]


class _Entry(BaseModel):
    """Immutable, closed and without conversions: a quoted number is no number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Criterion(_Entry):
    """What an automatic item asks for in one sentence; it is met if all its properties hold."""

    id: Annotated[str, Field(pattern=rf"^{_ITEM}\.[a-z][a-z_]*$")]
    title: Text
    points: Points
    quote: Text
    """The template's own words that ask for it."""
    public: bool
    """Whether students can run its properties themselves."""
    properties: Annotated[tuple[Text, ...], Field(min_length=1)]


class AutomaticItem(_Entry):
    """Code that properties judge."""

    kind: Literal["automatic"]
    id: ItemId
    title: Text
    points: Points
    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1)]


class Budget(_Entry):
    """What a training check may spend, and what it must reach."""

    epochs: Annotated[int, Field(ge=1, le=1000)]
    minutes: Annotated[float, Field(gt=0, le=1440, allow_inf_nan=False)]
    threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    """Validation accuracy, as a fraction."""


class RubricEntry(_Entry):
    """A finding that a grader chooses for an answer, and the points that it adds or takes off."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
    points: Annotated[float, AfterValidator(_signed_quarters)]
    text: Text
    exclusive: bool = False
    """Whether its points replace the sum of the other entries."""


class TrainingItem(_Entry):
    """A model that is trained again if asked for; else a person reads what the notebook reports."""

    kind: Literal["training"]
    id: ItemId
    title: Text
    points: Points
    budget: Budget
    grading_notes: Text
    evidence: tuple[EvidenceKind, ...] = ()
    entries: tuple[RubricEntry, ...] = ()


class ManualItem(_Entry):
    """An answer in words or pictures, which a person judges."""

    kind: Literal["manual"]
    id: ItemId
    title: Text
    points: Points
    model_answer: Text
    """The heading in the written answers of the reference."""
    grading_notes: Text
    evidence: tuple[EvidenceKind, ...] = ()
    entries: tuple[RubricEntry, ...] = ()


Item = AutomaticItem | TrainingItem | ManualItem


class PenaltyRule(_Entry):
    """A deduction that a person may give."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z-]*$")]
    title: Text
    percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


Visibility = Literal["visible", "hidden", "after_due_date", "after_published"]
"""When students see a test on Gradescope."""


class Lateness(_Entry):
    """What handing in late costs on Gradescope; nothing unless the rubric says so."""

    percent_per_day: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.0
    """Of what was earned, for each day that was begun."""
    grace_minutes: Annotated[float, Field(ge=0, le=10080, allow_inf_nan=False)] = 0.0
    max_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 100.0


class GradescopeSettings(_Entry):
    """How results are shown on Gradescope, and the time that is set for the assignment there."""

    granularity: Literal["criterion", "item"] = "criterion"
    minutes: Annotated[float, Field(ge=2, le=40, allow_inf_nan=False)] = 10.0
    """After so long the platform ends a run and gives no points; the grader ends well before."""
    training_minutes: Annotated[float, Field(ge=0, le=38, allow_inf_nan=False)] = 0.0
    """Of those minutes, for training where no checkpoint was handed in; with 0 the item then waits for a person."""
    visibility: Visibility = "visible"
    visibility_of: dict[str, Visibility] = Field(default_factory=dict)
    """Exceptions, by the id of an item or a criterion."""
    lateness: Lateness = Lateness()

    def visibility_for(self, criterion: str) -> Visibility:
        """A criterion's own visibility, or else its item's, or else that of all."""
        item = criterion.partition(".")[0]
        return self.visibility_of.get(criterion, self.visibility_of.get(item, self.visibility))


class Rubric(_Entry):
    """All items of a homework, in its order."""

    format: RubricVersion = RUBRIC
    """Of this form, by semantic versioning; a file may leave it out."""
    version: Text
    """Of what the file says: change it when you change points, and results name it."""
    title: Text
    total: Points
    penalties: tuple[PenaltyRule, ...] = ()
    gradescope: GradescopeSettings = GradescopeSettings()
    causes_for: Literal["graders", "students"] = "graders"
    """Who is told the likely causes of lost points. They name what is wrong, so they are half of a solution."""
    items: Annotated[
        tuple[Annotated[Item, Field(discriminator="kind")], ...],
        Field(min_length=1),
    ]
    _digest: str = PrivateAttr(default="")

    @property
    def digest(self) -> str:
        """SHA-256 (64 hex digits) of the file, for results to say by which rubric they were reached."""
        return self._digest

    @property
    def automatic(self) -> tuple[AutomaticItem, ...]:
        """The items that properties judge."""
        return tuple(item for item in self.items if isinstance(item, AutomaticItem))

    @property
    def by_hand(self) -> tuple[ManualItem | TrainingItem, ...]:
        """The items that people can grade by entries."""
        return tuple(item for item in self.items if not isinstance(item, AutomaticItem))

    @property
    def properties(self) -> tuple[str, ...]:
        """The names of all properties, in order."""
        return tuple(
            name for item in self.automatic for criterion in item.criteria for name in criterion.properties
        )


def load_rubric(path: Path | None = None, *, known_properties: Collection[str] | None = None) -> Rubric:
    """Read a rubric file, by default the homework's; raises RubricError, also for properties not in `known_properties`."""
    if path is None:
        from grader.homework import load_homework  # noqa: PLC0415  (it loads all properties)

        path = load_homework().rubric
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RubricError(f"{path.name}:1: cannot be read: {reason}") from error
    return parse_rubric(data, name=path.name, known_properties=known_properties)


def parse_rubric(
    data: bytes, *, name: str = "rubric.yaml", known_properties: Collection[str] | None = None
) -> Rubric:
    """A rubric from a file's bytes; `name` stands in the messages.

    Raises RubricError, with a line for each fault, and nothing else.
    """
    try:
        plain, lines = read_yaml(data, most=MAX_BYTES)
    except Fault as fault:
        raise RubricError(f"{name}:{fault.line}: {fault.reason}") from None
    faults: list[Fault] = []
    rubric = None
    try:
        rubric = Rubric.model_validate(plain)
    except ValidationError as error:
        faults += faults_of_form(error, lines, plain)
    items = _sound_items(plain) if rubric is None else list(enumerate(rubric.items))
    faults += [*_wrong_sums(items, rubric, lines), *_wrong_entries(items, lines)]
    faults += _wrong_names(items, plain, lines, known_properties)
    if rubric is not None:
        faults += _wrong_settings(rubric, lines)
    if rubric is None or faults:
        ordered = sorted(faults, key=lambda fault: fault.line)
        raise RubricError("\n".join(f"{name}:{fault.line}: {fault.reason}" for fault in ordered))
    rubric._digest = hashlib.sha256(data).hexdigest()
    return rubric


_ITEMS: TypeAdapter[Item] = TypeAdapter(Annotated[Item, Field(discriminator="kind")])


def _sound_items(plain: Plain) -> list[tuple[int, Item]]:
    """The items of a faulty file that are in order themselves, with their places."""
    given = plain.get("items") if isinstance(plain, dict) else None
    found: list[tuple[int, Item]] = []
    for place, item in enumerate(given if isinstance(given, tuple) else ()):
        with contextlib.suppress(ValidationError):
            found.append((place, _ITEMS.validate_python(item)))
    return found


def _wrong_sums(
    items: Sequence[tuple[int, Item]], rubric: Rubric | None, lines: Lines
) -> Iterator[Fault]:
    for i, item in items:
        if isinstance(item, AutomaticItem):
            given = sum(criterion.points for criterion in item.criteria)
            if given != item.points:
                yield Fault(
                    lines["items", i, "points"],
                    f"{item.id} does not add up: worth {item.points:g}, its criteria give {given:g}",
                )
    given = sum(item.points for _, item in items)
    if rubric is not None and given != rubric.total:
        yield Fault(lines["total",], f"does not add up: total is {rubric.total:g}, the items give {given:g}")


def _wrong_entries(items: Sequence[tuple[int, Item]], lines: Lines) -> Iterator[Fault]:
    """Entries that are named twice, or with which an item cannot reach its points or 0."""
    for i, item in items:
        if isinstance(item, AutomaticItem) or not item.entries:
            continue
        seen: dict[str, int] = {}
        for e, entry in enumerate(item.entries):
            line = lines["items", i, "entries", e, "id"]
            if entry.id in seen:
                yield Fault(line, f"{item.id}: entry {entry.id} is already defined in line {seen[entry.id]}")
            seen.setdefault(entry.id, line)
        lowest, highest = reach(item.entries)
        if highest < item.points:
            reason = f"{item.id}: its entries give at most {highest:g} of {item.points:g} points"
            yield Fault(lines["items", i, "entries"], reason)
        if lowest > 0:
            reason = f"{item.id}: its entries give at least {lowest:g} points; add an entry worth 0"
            yield Fault(lines["items", i, "entries"], reason)


def reach(entries: Sequence[RubricEntry]) -> tuple[float, float]:
    """The fewest and the most points that one or more of these entries give."""
    added = [entry.points for entry in entries if not entry.exclusive]
    alone = [entry.points for entry in entries if entry.exclusive]
    losses, gains = [p for p in added if p < 0], [p for p in added if p > 0]
    lowest = min([*alone, *added, *([sum(losses)] if losses else [])], default=0.0)
    return lowest, max([*alone, *added, *([sum(gains)] if gains else [])], default=0.0)


def _wrong_names(
    items: Sequence[tuple[int, Item]], plain: Plain, lines: Lines, known: Collection[str] | None
) -> Iterator[Fault]:
    seen: dict[str, int] = {}

    def twice(what: str, name: str, where: Where) -> Iterator[Fault]:
        label = f"{what} {name}"
        if label in seen:
            yield Fault(lines[where], f"{label} is already defined in line {seen[label]}")
        seen.setdefault(label, lines[where])

    penalties = plain.get("penalties") if isinstance(plain, dict) else None
    for p, penalty in enumerate(penalties if isinstance(penalties, tuple) else ()):
        if isinstance(penalty, dict) and isinstance(penalty.get("id"), str):
            yield from twice("penalty", str(penalty["id"]), ("penalties", p, "id"))
    for i, item in items:
        yield from twice("item", item.id, ("items", i, "id"))
        for c, criterion in enumerate(item.criteria if isinstance(item, AutomaticItem) else ()):
            criterion_place: Where = ("items", i, "criteria", c)
            id_place = (*criterion_place, "id")
            yield from twice("criterion", criterion.id, id_place)
            if not criterion.id.startswith(f"{item.id}."):
                yield Fault(lines[id_place], f"criterion {criterion.id} is listed under item {item.id}")
            for n, name in enumerate(criterion.properties):
                # A property in two criteria would make one failure cost twice.
                place = (*criterion_place, "properties", n)
                yield from twice("property", name, place)
                if known is not None and name not in known:
                    yield Fault(lines[place], _unknown(name, known))


def _unknown(name: str, known: Collection[str]) -> str:
    """What is wrong with a property's name, and where a new property belongs."""
    module = name.rpartition(".")[0]
    if not any(other.startswith(f"{module}.") for other in known):
        return (
            f"unknown property {name}: no module {module or name} is registered; add it to `modules` of the homework's "
            "`HOMEWORK`"
        )
    likely = difflib.get_close_matches(name, known, 1, cutoff=0.8)
    hint = f"did you mean {likely[0]}?" if likely else f"define it in {module}.py, as a function that begins with test_"
    return f"unknown property {name}: {hint}"


def _wrong_settings(rubric: Rubric, lines: Lines) -> Iterator[Fault]:
    settings = rubric.gradescope
    if settings.training_minutes > settings.minutes - 2:
        line = lines["gradescope", "training_minutes"]
        yield Fault(line, f"training_minutes: {settings.minutes:g} minutes in all leave less than 2 for the rest")
    judged = {item.id for item in rubric.items if not isinstance(item, ManualItem)}
    criteria = {criterion.id for item in rubric.automatic for criterion in item.criteria}
    by_item = rubric.gradescope.granularity == "item"
    for name in rubric.gradescope.visibility_of:
        line = lines["gradescope", "visibility_of", name]
        if name not in judged | criteria:
            yield Fault(line, f"visibility_of: {name} is not an automatic item or criterion")
        elif by_item and name in criteria:
            yield Fault(line, f"visibility_of: {name} is a criterion, but granularity is item")
