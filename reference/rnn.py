"""Problem 1: a linear RNN, unrolled, and what it costs beside attention.

The recurrence is h_t = W_h h_{t-1} + W_x x_t with h_0 = 0, and y_t = phi_y(W_y h_t).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LinearRNN:
    """The weights of an RNN without biases, whose hidden state knows no non-linearity."""

    W_x: Tensor  # (d_hidden, d_in)
    W_h: Tensor  # (d_hidden, d_hidden)
    W_y: Tensor  # (d_out, d_hidden)
    phi_y: Callable[[Tensor], Tensor] = torch.tanh


def random_rnn(d_in: int, d_hidden: int, d_out: int, radius: float) -> LinearRNN:
    """An RNN with random weights, the largest eigenvalue of W_h having absolute value ``radius``."""
    W_h = torch.randn(d_hidden, d_hidden, dtype=torch.float64)
    return LinearRNN(
        W_x=torch.randn(d_hidden, d_in, dtype=torch.float64),
        W_h=W_h * radius / torch.linalg.eigvals(W_h).abs().max(),
        W_y=torch.randn(d_out, d_hidden, dtype=torch.float64),
    )


def run(rnn: LinearRNN, xs: Tensor) -> tuple[Tensor, Tensor]:
    """All states (T, d_hidden) and outputs (T, d_out) for inputs (T, d_in), one step after the other."""
    h = torch.zeros_like(rnn.W_h[0])  # (d_hidden,)
    states = []
    for x in xs:
        h = rnn.W_h @ h + rnn.W_x @ x
        states.append(h)
    hs = torch.stack(states)  # (T, d_hidden)
    return hs, rnn.phi_y(hs @ rnn.W_y.T)


def state_2(rnn: LinearRNN, x1: Tensor, x2: Tensor) -> Tensor:
    """1a: h_2 = W_h W_x x_1 + W_x x_2."""
    return rnn.W_h @ rnn.W_x @ x1 + rnn.W_x @ x2


def output_2(rnn: LinearRNN, x1: Tensor, x2: Tensor) -> Tensor:
    """1a: y_2 = phi_y(W_y W_h W_x x_1 + W_y W_x x_2)."""
    return rnn.phi_y(rnn.W_y @ rnn.W_h @ rnn.W_x @ x1 + rnn.W_y @ rnn.W_x @ x2)


def state_3(rnn: LinearRNN, x1: Tensor, x2: Tensor, x3: Tensor) -> Tensor:
    """1b: h_3 = W_h^2 W_x x_1 + W_h W_x x_2 + W_x x_3."""
    return rnn.W_h @ rnn.W_h @ rnn.W_x @ x1 + rnn.W_h @ rnn.W_x @ x2 + rnn.W_x @ x3


def output_3(rnn: LinearRNN, x1: Tensor, x2: Tensor, x3: Tensor) -> Tensor:
    """1b: y_3 = phi_y(W_y (W_h^2 W_x x_1 + W_h W_x x_2 + W_x x_3))."""
    return rnn.phi_y(rnn.W_y @ state_3(rnn, x1, x2, x3))


def state_T(rnn: LinearRNN, xs: Tensor) -> Tensor:
    """1c: h_T = sum over t of W_h^(T-t) W_x x_t."""
    T = len(xs)
    terms = [torch.linalg.matrix_power(rnn.W_h, T - t) @ rnn.W_x @ xs[t - 1] for t in range(1, T + 1)]
    return torch.stack(terms).sum(dim=0)  # (d_hidden,)


def output_T(rnn: LinearRNN, xs: Tensor) -> Tensor:
    """1c: y_T = phi_y(sum over t of W_y W_h^(T-t) W_x x_t)."""
    return rnn.phi_y(rnn.W_y @ state_T(rnn, xs))  # (d_out,)


def first_input_weight(rnn: LinearRNN, T: int) -> Tensor:
    """1d: W_y W_h^(T-1) W_x, by which x_1 enters y_T; vanishes or explodes with the eigenvalues of W_h."""
    power: Tensor = torch.linalg.matrix_power(rnn.W_h, T - 1)  # (d_hidden, d_hidden)
    return rnn.W_y @ power @ rnn.W_x  # (d_out, d_in)


def rnn_operations(T: int, d: int = 64) -> int:
    """1e: additions and multiplications of an RNN, all of whose vectors have size d; linear in T."""
    step = 3 * 2 * d * d + d  # W_h h, W_x x, W_y h, and the sum of the first two
    return T * step


def attention_operations(T: int, d: int = 64) -> int:
    """1e: additions and multiplications of a self-attention layer; quadratic in T."""
    projections = 3 * T * 2 * d * d  # queries, keys, values
    scores = T * T * (2 * d + 1)  # inner products, and the scaling
    softmax = 3 * T * T  # exponential, sum, quotient
    outputs = T * T * 2 * d
    return projections + scores + softmax + outputs
