"""Rubric entries that were changed while grading, written back into ``rubric.yaml``; all else in the file stays as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grader.errors import GraderError
from grader.files.located_yaml import Span, Where, spans_of
from grader.gradebook.state import State
from grader.scoring.rubric import Rubric, RubricEntry, parse_rubric

_BOM = "\ufeff"


@dataclass(frozen=True)
class EntryChange:
    """How an entry differs from what ``rubric.yaml`` says; None where one of the two does not have it."""

    item: str
    before: RubricEntry | None
    after: RubricEntry | None


def changed_entries(rubric: Rubric, state: State) -> tuple[EntryChange, ...]:
    """The entries that were changed, added or removed while grading, and that ``rubric.yaml`` does not have like this."""
    found = []
    for item in rubric.by_hand:
        listed = {entry.id: entry for entry in item.entries}
        now = {entry.id: entry for entry in state.entries(item.id)}
        for name in [*listed, *(name for name in now if name not in listed)]:
            if listed.get(name) != now.get(name):
                found.append(EntryChange(item.id, listed.get(name), now.get(name)))
    return tuple(found)


def with_entries(data: bytes, state: State, *, name: str = "rubric.yaml") -> bytes:
    """The rubric file with the entries of a state.

    Raises `RubricError` where the file is faulty, or would be: entries that were removed can leave an item without a way to
    its points.
    """
    rubric = parse_rubric(data, name=name)
    changes = changed_entries(rubric, state)
    if not changes:
        return data
    decoded = data.decode("utf-8")
    text = decoded.removeprefix(_BOM)
    edits = sorted(_edits(text, rubric, changes), reverse=True)
    for start, end, new in edits:
        text = text[:start] + new + text[end:]
    edited = (_BOM * decoded.startswith(_BOM) + text).encode("utf-8")
    again = parse_rubric(edited, name=name)
    if changed_entries(again, state) or _without_entries(again) != _without_entries(rubric):
        raise GraderError(
            f"{name}: its entries cannot be edited in place; write each as `- {{id: ..., points: ..., text: ...}}` in a line"
        )
    return edited


def _without_entries(rubric: Rubric) -> list[object]:
    items = [item.model_dump(exclude={"entries"}) for item in rubric.items]
    return [rubric.model_dump(exclude={"items"}), items]


Edit = tuple[int, int, str]
"""Start and end of what is replaced, and the text in its place."""


def _edits(text: str, rubric: Rubric, changes: Sequence[EntryChange]) -> Iterator[Edit]:
    spans = spans_of(text)
    for number, item in enumerate(rubric.items):
        own = [change for change in changes if change.item == item.id]
        if own:
            place: Where = ("items", number)
            listed = {} if item.kind == "automatic" else {entry.id: e for e, entry in enumerate(item.entries)}
            yield from _Item(text, spans, place, listed).edits(own)


class _Item:
    """The place of one item in a rubric file."""

    def __init__(self, text: str, spans: dict[Where, Span], place: Where, listed: dict[str, int]) -> None:
        self.text, self.spans, self.place, self.listed = text, spans, place, listed
        self.list = (*place, "entries")
        self.line_feed = "\r\n" if "\r\n" in text else "\n"

    def edits(self, changes: Sequence[EntryChange]) -> Iterator[Edit]:
        """What to replace so that these changes hold."""
        added = [change.after for change in changes if change.before is None and change.after is not None]
        span = self.spans.get(self.list)
        removed = [change for change in changes if change.after is None]
        if len(removed) == len(self.listed) and self.listed:
            yield from self._rewrite_all(added)
            return
        for change in changes:
            if change.before is not None:
                yield from self._edit(change.before, change.after)
        if added and span is not None and self.listed:
            if span.is_flow:
                last = self._span(*self.list, len(self.listed) - 1)
                yield last.end, last.end, "".join(f", {_flow(entry)}" for entry in added)
            else:
                indent = self._indent(self._span(*self.list, 0).start, "-")
                end = self._line_end(span.end)
                yield end, end, "".join(f"{self.line_feed}{indent}- {_flow(entry)}" for entry in added)
        elif added:
            yield from self._rewrite_all(added)

    def _rewrite_all(self, entries: Sequence[RubricEntry]) -> Iterator[Edit]:
        """In place of the whole list, or as a new one at the end of the item."""
        keys = self._indent(self._span(*self.place, "points").start, "points")
        lines = "".join(f"{self.line_feed}{keys}  - {_flow(entry)}" for entry in entries)
        span = self.spans.get(self.list)
        if span is None:
            end = self._line_end(self.spans[self.place].end)
            yield end, end, f"{self.line_feed}{keys}entries:{lines}"
        elif entries:
            key_end = self.text.rindex("entries", 0, span.start) + len("entries")
            yield key_end, span.end, f":{lines}"
        else:
            yield span.start, span.end, "[]"

    def _edit(self, before: RubricEntry, after: RubricEntry | None) -> Iterator[Edit]:
        place = (*self.list, self.listed[before.id])
        span = self.spans[place]
        if after is None:
            yield self._removal(place, span)
            return
        points, text = self._span(*place, "points"), self._span(*place, "text")
        if after.text != before.text:
            yield text.start, text.end, _quoted(after.text)
        exclusive = self.spans.get((*place, "exclusive"))
        word = "true" if after.exclusive else "false"
        if after.exclusive != before.exclusive and exclusive is not None:
            yield exclusive.start, exclusive.end, word
        more = ""
        if after.exclusive != before.exclusive and exclusive is None:
            more = f", exclusive: {word}"
            if not span.is_flow:
                more = f"{self.line_feed}{' ' * self._column(span.start)}exclusive: {word}"
        if after.points != before.points or more:
            yield points.start, points.end, f"{after.points:g}{more}"

    def _removal(self, place: Where, span: Span) -> Edit:
        if not self.spans[self.list].is_flow:
            # Whole lines, with the dash and a comment behind the entry.
            start = self.text.rindex(self.line_feed, 0, self.text.rindex("-", 0, span.start))
            return start, self._line_end(span.end), ""
        following = self.spans.get((*place[:-1], int(place[-1]) + 1))
        if following is not None:
            return span.start, following.start, ""
        return self._span(*place[:-1], int(place[-1]) - 1).end, span.end, ""

    def _span(self, *place: str | int) -> Span:
        return self.spans[place]

    def _line_end(self, index: int) -> int:
        """Behind the line in which a value ends: a comment may follow it there."""
        end = self.text.find(self.line_feed, index)
        return len(self.text) if end < 0 else end

    def _column(self, index: int) -> int:
        return index - (self.text.rfind("\n", 0, index) + 1)

    def _indent(self, index: int, sign: str) -> str:
        """The spaces before the last ``sign`` in front of a value."""
        return " " * self._column(self.text.rindex(sign, 0, index))


def _flow(entry: RubricEntry) -> str:
    exclusive = ", exclusive: true" if entry.exclusive else ""
    return f"{{id: {_name(entry.id)}, points: {entry.points:g}{exclusive}, text: {_quoted(entry.text)}}}"


def _name(entry: str) -> str:
    """An id as YAML reads it as text: `1` and `no` would be something else."""
    return entry if entry[0].isalpha() and len(entry) > 4 else _quoted(entry)


def _quoted(text: str) -> str:
    """A YAML string in double quotes, which reads the escapes of JSON."""
    return json.dumps(text, ensure_ascii=False)
