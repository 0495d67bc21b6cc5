"""1b RNN(n_in, n_hidden): xs (B, T, n_in) -> all states (B, T, n_hidden). Judged with a stand-in for RNNCell."""

from __future__ import annotations

import numpy as np

from grader.judging import expect
from grader.judging.property import Part, Program, property_of
from grader.kernel.remote import Student

from . import cases
from .cases import LayerCase

PART = Part("1b", "RNN", ("RNNCell",), (3, 2), lambda: (np.ones((2, 3, 3), np.float32),))


def shape_of(case: LayerCase) -> tuple[int, ...]:
    """The shape of all states."""
    return (*case.inputs["xs"].shape[:2], case.sizes[1])


@property_of(PART, cases.sequences(), examples=5)
def test_shape(student: Student, case: LayerCase) -> Program:
    """RNN returns the states of all steps, of shape (B, T, n_hidden)."""
    expect.shape((yield student.RNN(*case.sizes)(case.inputs["xs"])), shape_of(case), "states")


@property_of(PART, cases.sequences(), when="stand-ins", examples=6)
def test_states_follow_the_cell(student: Student, case: LayerCase) -> Program:
    """The states are those of one cell, applied to the inputs in order, from a zero state."""
    xs = case.inputs["xs"].astype(np.float64)
    states, built = yield student.RNN(*case.sizes)(case.inputs["xs"]), student.standins()
    expect.holds(len(built) == 1, f"expected one RNNCell, but {len(built)} were built")
    h, want = np.zeros((len(xs), case.sizes[1])), []
    for step in range(xs.shape[1]):
        h = 0.5 * h + xs[:, step].sum(-1, keepdims=True)
        want.append(h)
    got = expect.tensor(states, shape_of(case), "states")
    expect.close(got, np.stack(want, axis=1), "states", "the states are not those of the cell", scale=5)


@property_of(PART, cases.sequences(), when="whole", examples=6)
def test_whole_prefixes_agree(student: Student, case: LayerCase) -> Program:
    """The states of a prefix are a prefix of the states, and a later input changes them."""
    xs = case.inputs["xs"]
    network = student.RNN(*case.sizes)
    other = xs.copy()
    other[:, -1] += 1
    whole, prefix, changed = yield network(xs), network(xs[:, :-1]), network(other)
    states = expect.tensor(whole, shape_of(case), "states")
    want = expect.tensor(prefix, (len(xs), xs.shape[1] - 1, case.sizes[1]), "states of a prefix")
    expect.close(states[:, :-1], want, "states", "a later input changes an earlier state")
    expect.differs(expect.tensor(changed, shape_of(case), "states")[:, -1], states[:, -1], "states",
                   "the last state does not depend on the last input", least=1e-6)
