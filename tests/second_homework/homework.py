"""The second homework: three small layers, one of which builds on another, and a question."""

from __future__ import annotations

from pathlib import Path

from grader.homework import Homework

from . import batch_norm, convolution, rnn, rnn_cell

HOMEWORK = Homework(
    name="layers",
    folder=Path(__file__).resolve().parent,
    modules=(rnn_cell, rnn, convolution, batch_norm),
)
