"""The operators of the mechanical sweep: each makes the change that its name says, where it may and nowhere else."""

from __future__ import annotations

import ast

import pytest

from grader.audit.mutate import Mutation, mutations
from grader.audit.operators import EXPRESSIONS, STATEMENTS


def of(body: str, signature: str = "self, x, mask, dim: int, size: int", name: str = "forward") -> list[Mutation]:
    """The mutations of a method with this body."""
    lines = [f"    {line}" for line in body.splitlines()]
    source = "\n".join(["class Part:", f"  def {name}({signature}):", *lines])
    return mutations(source, [range(3, 3 + len(lines))])


def after(body: str, operator: str, **method: str) -> list[str]:
    """What an operator puts in the place of what it found."""
    return [mutation.after for mutation in of(body, **method) if mutation.operator == operator]


CASES = [
    ("arithmetic", "return x / mask", "x * mask"),
    ("arithmetic", "return x @ mask", "x * mask"),
    ("term dropped", "return x + mask", "mask"),
    ("term dropped", "return -x", "x"),
    ("operands swapped", "return x @ mask", "mask @ x"),
    ("in place", "return x + mask", "x.add_(mask)"),
    ("comparison", "return x == mask", "x != mask"),
    ("comparison", "return x is not None", "x is None"),
    ("constant", "return x.sum(-1)", "-2"),
    ("constant", "return x.sum(keepdim=True)", "False"),
    ("constant", "return ' '.join(x)", "''"),
    ("infinity", "return x.masked_fill(mask, math.inf)", "10000.0"),
    ("call dropped", "return x.tril().mean()", "x.tril()"),
    ("call dropped", "return f(x)", "x"),
    ("order of calls", "return x.tril(1).mean(0)", "x.mean(0).tril(1)"),
    ("order of calls", "return f(g(x, dim=1), mask)", "g(f(x, mask), dim=1)"),
    ("arguments", "return f(x, mask)", "f(mask, x)"),
    ("arguments", "return f(x, dim=1)", "f(x)"),
    ("arguments", "return f(a=x, b=mask)", "f(a=mask, b=x)"),
    ("no bias", "return nn.Linear(dim, size)", "nn.Linear(dim, size, bias=False)"),
    ("another name", "return x.tril()", "x.triu"),
    ("another name", "return torch.cat([x, mask])", "torch.stack"),
    ("another variable", "return f(dim)", "size"),
    ("another variable", "return x.sum()", "mask"),
    ("off by one", "return range(size)", "size - 1"),
    ("off by one", "return range(size)", "range(1, size)"),
    ("slice", "return x[:, :-1]", "1:"),
    ("slice", "return x[1:]", ":"),
    ("tuple", "return x, mask", "(mask, x)"),
    ("tuple", "return x, mask", "x"),
    ("branch", "return x if mask else None", "None if mask else x"),
    ("iteration", "return [f(i) for i in x]", "[f(i) for i in list(x)[::-1]]"),
    ("iteration", "return [f() for _ in range(size)]", "[f()] * len(list(range(size)))"),
    ("detached", "y = f(x)", "f(x).detach()"),
    ("negated", "return f(x)", "-f(x)"),
    ("inverted", "y = f(mask)", "1 - mask"),
    ("zeroed", "return f(x)", "f(x) * 0"),
    ("shifted", "return f(x)", "f(x).roll(1, 1)"),
    ("statement dropped", "x = f(x)\nreturn x", ""),
    ("statement dropped", "return x", "return None"),
    ("statement twice", "x = f(x)", "x = f(x)\nx = f(x)"),
    ("condition", "if mask:\n    x = f(x)", "if not mask:\n    x = f(x)"),
    ("condition", "if mask:\n    x = f(x)", "x = f(x)"),
    ("loop", "for y in mask:\n    x = f(x)", "for y in list(mask)[:-1]:\n    x = f(x)"),
    ("loop", "for y in mask:\n    x = f(x)", "for y in mask:\n    x = f(x)\n    break"),
    ("guard", "x = f(x)", "if self.training:\n    x = f(x)"),
    ("guard", "x = f(x)", "with torch.no_grad():\n    x = f(x)"),
    ("order of statements", "x = f(x)\nmask = g(x)", "mask = g(x)\nx = f(x)"),
]


@pytest.mark.parametrize(("operator", "body", "expected"), CASES)
def test_an_operator_makes_what_it_says(operator: str, body: str, expected: str) -> None:
    assert expected in after(body, operator)


def test_every_operator_has_a_case() -> None:
    assert {*EXPRESSIONS, *STATEMENTS} - {"another attribute"} <= {operator for operator, _, _ in CASES}


def test_another_attribute_is_one_that_the_class_sets() -> None:
    source = """class Part:
    def __init__(self):
        self.key = 1
        self.query = 2
    def forward(self, x):
        return self.key + self.other
"""
    found = [m.after for m in mutations(source, [range(6, 7)]) if m.operator == "another attribute"]
    assert found == ["self.query"]


def test_all_compile_and_all_differ() -> None:
    found = of("y = x[:, 1:] @ f(x, dim=-1)\nif mask is not x:\n    y = y / size ** 0.5\nreturn y, f(y)")
    assert len(found) > 60
    for mutation in found:
        compile(mutation.source, mutation.id, "exec")
    assert len({ast.unparse(ast.parse(mutation.source)) for mutation in found}) == len(found)
    assert len({mutation.id for mutation in found}) == len(found)


def test_nothing_outside_the_regions_changes() -> None:
    source = """class Part:
    def __init__(self, dim: int):
        self.given = dim + 1
        self.mine = dim + 1
    def forward(self, x):
        y = x + 1
        return y
"""
    found = mutations(source, [range(4, 5), range(6, 7)])
    assert {mutation.line for mutation in found} == {4, 6}
    given = [line for line in source.splitlines() if "given" in line or "return" in line]
    for mutation in found:
        assert [line for line in mutation.source.splitlines() if line in given] == given


def test_types_are_left_alone() -> None:
    found = of("y: Tensor = x\nreturn y")
    assert found
    assert all("y: Tensor" in mutation.source or "y" not in mutation.after for mutation in found)


def test_the_change_shows_the_whole_lines() -> None:
    (found,) = [mutation for mutation in of("y = x @ mask\nreturn y") if mutation.after == "mask @ x"]
    assert found.change == "y = x @ mask -> y = mask @ x"
    assert (found.before, found.line) == ("x @ mask", 3)


def test_ids_are_stable() -> None:
    """Written down once: neither another Python nor a comment, a docstring or a further operator changes them."""
    plain = "class Part:\n    def forward(self, x):\n        return x @ x.T\n"
    told = plain.replace("(self, x):\n", '(self, x):\n        """Words."""\n        # More words.\n')
    first = {mutation.after: mutation.id for mutation in mutations(plain, [range(3, 4)])}
    again = {mutation.after: mutation.id for mutation in mutations(told, [range(5, 6)])}
    assert first == again
    assert first["x.T @ x"] == "m09160766"
