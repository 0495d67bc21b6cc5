"""The closed forms of Problem 1 agree with the recurrence."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import rnn as problem

SIZES = st.integers(1, 5)


@st.composite
def rnns_with_inputs(draw, min_T=1, max_T=12):
    d_in, d_hidden, d_out, T = draw(SIZES), draw(SIZES), draw(SIZES), draw(st.integers(min_T, max_T))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    radius = draw(st.floats(0.1, 1.5))
    return problem.random_rnn(d_in, d_hidden, d_out, radius), torch.randn(T, d_in, dtype=torch.float64)


@settings(max_examples=50, deadline=None)
@given(rnns_with_inputs())
def test_closed_form_is_the_recurrence(drawn):
    rnn, xs = drawn
    states, outputs = problem.run(rnn, xs)
    torch.testing.assert_close(problem.state_T(rnn, xs), states[-1])
    torch.testing.assert_close(problem.output_T(rnn, xs), outputs[-1])


@settings(max_examples=20, deadline=None)
@given(rnns_with_inputs(min_T=3, max_T=3))
def test_second_and_third_step_are_the_recurrence(drawn):
    rnn, xs = drawn
    states, outputs = problem.run(rnn, xs)
    torch.testing.assert_close(problem.state_2(rnn, *xs[:2]), states[1])
    torch.testing.assert_close(problem.output_2(rnn, *xs[:2]), outputs[1])
    torch.testing.assert_close(problem.state_3(rnn, *xs), states[2])
    torch.testing.assert_close(problem.output_3(rnn, *xs), outputs[2])


@settings(max_examples=20, deadline=None)
@given(rnns_with_inputs())
def test_first_input_weight_is_the_derivative(drawn):
    rnn, xs = drawn
    linear = problem.LinearRNN(rnn.W_x, rnn.W_h, rnn.W_y, phi_y=torch.nn.Identity())
    gradient = torch.autograd.functional.jacobian(lambda x: problem.run(linear, x)[1][-1], xs)
    torch.testing.assert_close(problem.first_input_weight(rnn, len(xs)), gradient[:, 0])


@pytest.mark.parametrize(("radius", "vanishes"), [(0.8, True), (1.25, False)])
def test_first_input_vanishes_or_explodes_with_the_radius(radius, vanishes):
    rnn = problem.random_rnn(3, 4, 2, radius)
    early, late = (problem.first_input_weight(rnn, T).norm() for T in (10, 200))
    assert (late < 1e-10 * early) if vanishes else (late > 1e10 * early)


def test_operations_grow_linearly_for_an_rnn_and_quadratically_for_attention():
    T = 10**6
    assert problem.rnn_operations(2 * T) / problem.rnn_operations(T) == 2
    assert problem.attention_operations(2 * T) / problem.attention_operations(T) == pytest.approx(4, rel=1e-3)
