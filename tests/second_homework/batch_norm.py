"""3a BatchNorm(n): x (B, n) -> (B, n), with running statistics."""

from __future__ import annotations

import numpy as np

from grader.judging import expect
from grader.judging.property import Part, Program, property_of
from grader.kernel.remote import Student

from . import cases
from .cases import LayerCase

PART = Part("3a", "BatchNorm")
EPS, MOMENTUM = 1e-5, 0.1


@property_of(PART, cases.batches(), examples=6)
def test_training_mode_normalizes_the_batch(student: Student, case: LayerCase) -> Program:
    """In training mode the output is (x - mean) / sqrt(variance + eps), with the batch's own statistics."""
    layer, x = student.BatchNorm(*case.sizes), case.inputs["x"]
    layer.mode(True)
    wide = x.astype(np.float64)
    want = (wide - wide.mean(0)) / np.sqrt(wide.var(0) + EPS)
    for reply in (yield [layer(x), layer(x)]):
        got = expect.tensor(reply, x.shape, "output")
        expect.close(got, want, "output", "the batch is not normalized", scale=100)


@property_of(PART, cases.batches(), examples=6)
def test_evaluation_mode_uses_running_statistics(student: Student, case: LayerCase) -> Program:
    """In evaluation mode the running statistics are used, which each call in training mode moves by the momentum."""
    layer, x = student.BatchNorm(*case.sizes), case.inputs["x"]
    other = case.rng().normal(size=x.shape).astype(np.float32)
    mean, variance = np.zeros(x.shape[1]), np.ones(x.shape[1])
    for batch in (x, other):
        layer.mode(True)
        layer(batch)
        wide = batch.astype(np.float64)
        mean += MOMENTUM * (wide.mean(0) - mean)
        variance += MOMENTUM * (wide.var(0, ddof=1) - variance)
    layer.mode(False)
    replies = yield layer(x), layer(x[:1])
    for reply, inputs in zip(replies, (x, x[:1]), strict=True):
        want = (inputs - mean) / np.sqrt(variance + EPS)
        got = expect.tensor(reply, inputs.shape, "output")
        expect.close(got, want, "output", "the running statistics are not used", scale=20)
