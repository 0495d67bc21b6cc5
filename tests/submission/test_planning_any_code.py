"""Whatever the statements are, planning moves no line, breaks no cell, and takes time that grows with the size alone."""

from __future__ import annotations

import textwrap
import time

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat import v4

from grader.submission.magics import without_magics
from grader.submission.planning import Template, make_plan
from grader.submission.reading import parse_notebook
from tests.submission.test_planning import planned, submission

ATOMS = st.sampled_from(
    [
        "x = 1", "train()", "loss.backward()", "y = input(\n  'é'\n)", "é = [\n 1,\n] ; z = losses", "pass",
        "print(h, '''\n!ls\n''')", "losses.append(1)", "import torch", "assert x", "h = losses", "del q",
        "x = '%s' \\\n% 3", "d = CIFAR10(\n'.') # é", "[i for i in h]",
    ]
)  # fmt: skip
HEADERS = ["if h:", "for i in h:", "with a(\n) as b:", "while input():", "class C(h):", "def f(q=h):"]
HEADERS += ["try:", "@h\nclass D:"]


def _block(inner):
    def build(parts):
        header, body, tail = parts
        text = header + "\n" + textwrap.indent("\n".join(body), "  ", lambda line: True)
        if header == "try:":
            text += "\nexcept E as e:\n  " + tail + "\n"
        elif tail and header[:2] in ("if", "fo", "wh"):
            text += "\nelse:\n  " + ("pass" if "\n" in tail else tail)
        return text

    tails = st.sampled_from(["pass", "train()", "y = h", "input()"])
    return st.tuples(st.sampled_from(HEADERS), st.lists(inner, min_size=1, max_size=3), tails).map(build)


STATEMENTS = st.recursive(ATOMS, _block, max_leaves=8)
MAGICS = ["!pip install x", "%time x = 2", "h = !ls", "%matplotlib inline", "", "  # note", "h?"]
LINES = STATEMENTS | st.sampled_from(MAGICS)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.lists(LINES, min_size=1, max_size=5).map("\n".join), min_size=1, max_size=3), st.booleans()
)
def test_planning_moves_no_line_and_breaks_no_cell(sources, train):
    cells = [
        v4.new_code_cell(source, metadata={"hw3": {"role": "train"}} if train else {}) for source in sources
    ]
    cells.append(v4.new_code_cell("def train():\n  for a in b: a.backward()"))
    read = parse_notebook(nbformat.writes(v4.new_notebook(cells=cells)).encode(), "a")
    for cell in make_plan(read, Template()).cells:
        lines = cell.cell.source.count("\n")
        assert cell.source.count("\n") == lines
        assert not cell.rescue or cell.rescue.count("\n") == lines
        plain, _ = without_magics(cell.cell.source)
        try:
            compile(plain, "cell", "exec")
        except SyntaxError:
            continue
        compile(cell.source, "planned", "exec")
        compile(cell.rescue, "rescue", "exec")
        if cell.skipped and not cell.cell.source.count("!"):
            kept = cell.source.split("\n")
            whole_lines = [skip.line for skip in cell.skipped if skip.reason == "asks for input"]
            assert all("input(" not in kept[line - 1].split("#")[0] for line in whole_lines)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="abc=()[]{}'\"\\#%!?:;@ \n\té", max_size=60) | st.text(max_size=40))
def test_any_text_can_be_planned(text):
    source = text.replace("\r", "")
    cells = [v4.new_code_cell("x = 1"), v4.new_code_cell(source)]
    data = nbformat.writes(v4.new_notebook(cells=cells))
    for cell in make_plan(parse_notebook(data.encode(errors="replace"), "a"), Template()).cells:
        assert cell.source.count("\n") == cell.cell.source.count("\n")


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "(" * 90 + "1" + ")" * 90,
        "x = " + "+".join("1" * 3000),
        "x = " + "-" * 5000 + "1",
        "a" + ".b" * 3000,
        "a" + "()" * 3000,
        "\n".join("  " * depth + "if x:" for depth in range(99)) + "\n" + "  " * 99 + "pass",
        "x = 'a\0b'",
        "if x: pass\n" + "elif x: pass\n" * 400,
    ],
)
def test_deep_and_odd_code_runs_unchanged(source):
    (cell,) = planned(source)
    assert cell.decision == "run"


def _chain(functions: int, uses: int) -> str:
    head = "for _ in range(3):\n    loss.backward(); zz = 1\n"
    chain = "".join(f"def f{n}(): f{n + 1}\n" for n in range(functions))
    return head + chain + "f0\n" * uses + "f0 + zz"


def _callers_first(functions: int, uses: int) -> str:
    chain = "".join(f"def f{n}():\n    f{n + 1}()\n" for n in range(functions))
    return chain + f"def f{functions}():\n    loss.backward(); opt.step()\n" + "f0()\n" * uses


def _one_name(functions: int, uses: int) -> str:
    classes = "".join(f"class C{n}:\n    def foo(self): self.foo()\n" for n in range(functions))
    return classes + "x.foo(1)\n" * uses


@pytest.mark.parametrize("make", [_chain, _callers_first, _one_name])
def test_the_time_of_planning_grows_with_the_size_alone(make):
    given = submission(make(3000, 6000))
    started = time.process_time()
    make_plan(given, Template())
    assert time.process_time() - started < 6


def test_training_is_found_through_a_long_chain_of_calls():
    source = "".join(f"def f{n}():\n    f{n + 1}()\n" for n in range(300))
    training, plain = planned(source + "def f300():\n    for _ in x:\n        loss.backward()\nf0()", "1 + 1")
    assert training.decision == "partly" and "trains" in training.reason
    assert plain.decision == "run"
