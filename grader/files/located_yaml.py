"""YAML that knows its lines: plain data, and the line of every value, so that a fault can be told where it stands.

A file is composed to nodes, never constructed to objects: nodes know their lines, and no tag can name a Python class. Anchors
and aliases are refused, as they make a small file large.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import yaml

from grader.text.safe_text import one_line

_MAX_DEPTH = 20
_TAG = "tag:yaml.org,2002:"

Plain = str | int | float | bool | None | tuple["Plain", ...] | dict[str, "Plain"]
Where = tuple[str | int, ...]
"""The keys and indices that lead to a value."""
Lines = dict[Where, int]
Scalars = Literal["typed", "text"]


class Fault(Exception):
    """What is wrong with a file, and in which line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = one_line(reason)


def read_yaml(data: bytes, *, most: int, scalars: Scalars = "typed") -> tuple[Plain, Lines]:
    """The plain data of a file of at most ``most`` bytes, and the line of each value.

    Args:
        data: the file's bytes, UTF-8 with or without a byte order mark.
        most: how many bytes are read.
        scalars: "typed" reads 2 as a number; "text" leaves every scalar as it is written.

    Raises:
        Fault: for anything that is not plain YAML.
    """
    lines: Lines = {}
    return _Reader(lines, scalars, most).read(data), lines


@dataclass(frozen=True)
class Span:
    """Where a value stands in a text: from its first character to behind its last, without what follows it.

    Args:
        start: the index of its first character.
        end: the index behind its last one.
        is_flow: whether it is a list or a mapping in brackets.
    """

    start: int
    end: int
    is_flow: bool


def spans_of(text: str) -> dict[Where, Span]:
    """Where each value of a YAML text stands, for an edit that keeps all else; for text that `read_yaml` accepts."""
    loader = _Composer(text)
    try:
        node = loader.get_single_node()
    finally:
        loader.dispose()
    return {} if node is None else dict(_spans(node, (), text))


def _spans(node: yaml.Node, where: Where, text: str) -> Iterator[tuple[Where, Span]]:
    children: list[tuple[Where, Span]] = []
    pairs: list[tuple[str | int, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        pairs = [(str(key.value), value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        pairs = list(enumerate(node.value))
    for step, child in pairs:
        children.extend(_spans(child, (*where, step), text))
    start, end = node.start_mark.index, node.end_mark.index
    is_flow = isinstance(node, yaml.CollectionNode) and bool(node.flow_style)
    # A block ends for YAML where the next one begins; comments stand between.
    in_block = [] if is_flow else [span.end for _, span in children]
    end = max(in_block, default=start + len(text[start:end].rstrip()))
    yield where, Span(start, end, is_flow)
    yield from children


class _Composer(yaml.SafeLoader):
    """Composes nodes as SafeLoader does, without the ways to make a small file large."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise Fault(line, "anchors and aliases are not allowed")
        if self.depth >= _MAX_DEPTH:
            raise Fault(line, f"nested deeper than {_MAX_DEPTH} levels")
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Reader:
    """Turns bytes into plain data and notes the line of every value."""

    def __init__(self, lines: Lines, scalars: Scalars, most: int) -> None:
        self.lines, self.scalars, self.most = lines, scalars, most

    def read(self, data: bytes) -> Plain:
        if len(data) > self.most:
            raise Fault(1, f"larger than {self.most // 1024} KiB")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Fault(data.count(b"\n", 0, error.start) + 1, "not UTF-8") from None
        try:
            loader = _Composer(text)
            try:
                node = loader.get_single_node()
            finally:
                loader.dispose()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise Fault(
                mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}"
            ) from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, max(error.position, 0)) + 1
            raise Fault(line, f"not YAML: character {error.character!r} is not allowed") from None
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            raise Fault(1, f"not YAML: {error}") from None
        if node is None:
            raise Fault(1, "empty")
        return self.plain(node, ())

    def plain(self, node: yaml.Node, where: Where) -> Plain:
        line = node.start_mark.line + 1
        self.lines.setdefault(where, line)
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self.mapping(node, where)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return tuple(self.plain(child, (*where, i)) for i, child in enumerate(node.value))
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        raise Fault(line, f"tag {node.tag} is not allowed")

    def mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Plain]:
        plain: dict[str, Plain] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _TAG + "str":
                raise Fault(line, "a key must be plain text")
            key = key_node.value
            if key in plain:
                raise Fault(line, f"{key!r} is repeated here")
            place = (*where, key)
            self.lines[place] = line
            plain[key] = self.plain(value_node, place)
        return plain

    def scalar(self, node: yaml.ScalarNode) -> Plain:
        line = node.start_mark.line + 1
        kind = node.tag.removeprefix(_TAG)
        if kind == "str" or (self.scalars == "text" and node.tag.startswith(_TAG) and "/" not in kind):
            return str(node.value)
        if kind in {"timestamp", "value", "merge"}:
            raise Fault(line, f"{node.value[:40]!r} reads as a {kind}; put it in quotes")
        if kind not in {"int", "float", "bool", "null"}:
            raise Fault(line, f"tag {node.tag} is not allowed")
        try:
            # A constructor of its own: it keeps no state, and these four tags make no objects.
            value: Plain = yaml.constructor.SafeConstructor().construct_object(node)
        except (yaml.YAMLError, ValueError, KeyError, OverflowError, IndexError):
            raise Fault(line, f"{node.value[:40]!r} is not {'an' if kind[0] in 'aeiou' else 'a'} {kind}") from None
        return value
