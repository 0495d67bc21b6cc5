"""YAML with lines: what it gives, and which line it blames."""

from __future__ import annotations

import pytest

from grader.files.located_yaml import Fault, read_yaml

TEXT = b"""\
name: two
list:
  - 2
  - {deep: 007}
"""


def test_every_value_has_its_line() -> None:
    plain, lines = read_yaml(TEXT, most=1000)
    assert plain == {"name": "two", "list": (2, {"deep": 7})}
    assert {place: line for place, line in lines.items() if place} == {
        ("name",): 1, ("list",): 2, ("list", 0): 3, ("list", 1): 4, ("list", 1, "deep"): 4
    }  # fmt: skip


def test_scalars_stay_as_they_are_written() -> None:
    assert read_yaml(TEXT, most=1000, scalars="text")[0] == {"name": "two", "list": ("2", {"deep": "007"})}


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"", 1, "empty"),
        (b"a: 1\nb: [", 2, "not YAML"),
        (b"a: 1\nb: \xff", 2, "not UTF-8"),
        (b"a: &x 1\nb: *x", 1, "anchors and aliases are not allowed"),
        (b"a: 1\na: 2", 2, "'a' is repeated here"),
        (b"a: 1\n? [b]\n: 2", 2, "a key must be plain text"),
        (b"a: !!python/object:os.system 1", 1, "tag"),
        (b"- " * 30 + b"1", 1, "nested deeper than 20 levels"),
        (b"a: " + b"1" * 1000, 1, "larger than 0 KiB"),
    ],
)
@pytest.mark.parametrize("scalars", ["typed", "text"])
def test_faults_have_a_line_and_a_reason(data: bytes, line: int, reason: str, scalars: str) -> None:
    with pytest.raises(Fault) as caught:
        read_yaml(data, most=1000, scalars=scalars)  # type: ignore[arg-type]
    assert (caught.value.line, reason in caught.value.reason) == (line, True)
