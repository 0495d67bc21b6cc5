"""The table on how well causes are named."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from grader.audit.naming import print_again, print_naming
from tests.insight.known import MASK, TABLE, fault


def test_the_table_counts_what_was_held_out_and_what_came_from_outside() -> None:
    trials = (fault("m1", MASK, mask="a masked token gets weight"), replace(fault("m2", "", speed="slow"), causes=()))
    text = io.StringIO()
    print_naming(replace(TABLE, trials=trials), Console(file=text, width=200))
    lines = [" ".join(line.split()) for line in text.getvalue().splitlines()]
    assert lines[0] == "8 known faults with 5 causes."
    assert "Held out one at a time, where others have the cause: 6" in lines
    assert "1a 6 4 2 0 0 0 100% 100%" in lines
    assert "Mechanical mutants with a cause of the corpus: 1" in lines and "1a 1 1 0 0 0 0 100% 100%" in lines
    unknown = "Mechanical mutants like nothing in the corpus: 1, of which 1 are called unknown, as is right, and 0 are not."
    assert unknown in lines
    assert any(line.startswith("Confidence of") for line in lines)


def test_known_faults_of_another_seed_are_named_by_all() -> None:
    text = io.StringIO()
    print_again(TABLE, TABLE.faults[:4], Console(file=text, width=200))
    lines = [" ".join(line.split()) for line in text.getvalue().splitlines()]
    assert "Known faults, judged by another seed: 4" in lines and "all 4 4 0 0 0 0 100% 100%" in lines
