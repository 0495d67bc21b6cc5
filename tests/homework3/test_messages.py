"""A wrong answer gets a message on what it did, also where asking for the reason takes large replies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grader.assignment import PUBLIC_SEED, load_assignment
from grader.audit import corpus
from grader.audit.fast import FastKernel
from grader.homework3 import HOMEWORK
from grader.judging.engine import Engine

pytestmark = pytest.mark.long


def test_layers_in_another_order_are_said_to_be() -> None:
    assignment = replace(load_assignment(homework=HOMEWORK), least_isolation=None)
    loop = "for layer in self.layers:"
    cells = [cell.replace(loop, "for layer in reversed(self.layers):") for cell in corpus.reference_cells()]
    assert sum(loop in cell for cell in corpus.reference_cells()) == 1
    prop = HOMEWORK.properties["transformer.test_blocks_in_sequence_and_nothing_else"]
    with FastKernel(cells) as kernel, Engine(kernel, PUBLIC_SEED, assignment.provided_methods) as engine:
        verdict = engine.judge([prop])[prop.name]
    assert verdict.status == "failed"
    assert "not called in the order in which they were built" in verdict.message
