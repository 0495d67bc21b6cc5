"""1a RNNCell(n_in, n_hidden): x (B, n_in), h (B, n_hidden) -> the next state (B, n_hidden)."""

from __future__ import annotations

import numpy as np

from grader.judging import expect
from grader.judging.property import Part, Program, property_of
from grader.kernel.remote import Student

from . import cases
from .cases import LayerCase

PART = Part("1a", "RNNCell")


@property_of(PART, cases.steps(), examples=5)
def test_shape(student: Student, case: LayerCase) -> Program:
    """RNNCell returns a state of shape (B, n_hidden)."""
    state = yield student.RNNCell(*case.sizes)(case.inputs["x"], case.inputs["h"])
    expect.shape(state, case.inputs["h"].shape, "state")


@property_of(PART, cases.steps(), examples=8)
def test_state_is_tanh_of_an_affine_map(student: Student, case: LayerCase) -> Program:
    """The inverse tanh of the state is a linear map of x and h, plus a bias."""
    cell = student.RNNCell(*case.sizes)
    x, h = (0.3 * case.inputs[name] for name in ("x", "h"))
    zero_x, zero_h = np.zeros_like(x), np.zeros_like(h)
    both, by_x, by_h, neither = yield cell(x, h), cell(x, zero_h), cell(zero_x, h), cell(zero_x, zero_h)
    inverse = [np.arctanh(np.clip(expect.tensor(state, h.shape, "state"), -1 + 1e-7, 1 - 1e-7)) for state in
               (both, by_x, by_h, neither)]
    why = "atanh(state) is not a map of x plus a map of h plus a bias"
    expect.close(inverse[0], inverse[1] + inverse[2] - inverse[3], "atanh(state)", why, scale=50)
    for name, changed in (("x", inverse[1]), ("h", inverse[2])):
        if np.any(case.inputs[name]):
            expect.differs(changed, inverse[3], "state", f"the state does not depend on {name}", least=1e-5)


@property_of(PART, cases.steps(), examples=4)
def test_input_and_state_get_gradients(student: Student, case: LayerCase) -> Program:
    """A loss on the state gives x, h and every parameter a gradient."""
    cell = student.RNNCell(*case.sizes)
    x, h = (student.tensor(0.3 * case.inputs[name], requires_grad=True) for name in ("x", "h"))
    state = cell(x.method("clone"), h.method("clone"))
    by_input, by_name = yield student.gradients(state, None, [x, h]), student.parameter_gradients(state, None, cell)
    named = dict(zip(("x", "h"), by_input, strict=True)) | by_name
    expect.holds(len(by_name) > 1, "the module has too few parameters for W_x and W_h")
    for name, gradient in named.items():
        expect.holds(isinstance(gradient, np.ndarray), f"{name} gets no gradient")
