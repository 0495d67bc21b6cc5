"""2a Convolution(n_in, n_out, size): x (B, n_in, T) -> (B, n_out, T - size + 1)."""

from __future__ import annotations

import numpy as np

from grader.judging import expect
from grader.judging.property import Part, Program, property_of
from grader.kernel.remote import Student

from . import cases
from .cases import LayerCase

PART = Part("2a", "Convolution")


@property_of(PART, cases.signals(), examples=8)
def test_each_output_sees_its_window(student: Student, case: LayerCase) -> Program:
    """Output t is the sum over its window of weight times input, plus the bias."""
    layer, x, rng = student.Convolution(*case.sizes), case.inputs["x"], case.rng()
    n_in, n_out, size = case.sizes
    weight = rng.normal(size=(n_out, n_in, size)).astype(np.float32)
    bias = rng.normal(size=n_out).astype(np.float32)
    layer.load({"weight": weight, "bias": bias})
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), size, axis=2)
    want = np.einsum("bcts,ocs->bot", windows, weight.astype(np.float64)) + bias[:, None]
    got = expect.tensor((yield layer(x)), want.shape, "output")
    expect.close(got, want, "output", "an output is not the weighted sum of its window", scale=5)
