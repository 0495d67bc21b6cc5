"""What this homework consists of."""

from __future__ import annotations

from pathlib import Path

from grader.homework import Homework

from . import softmax

HOMEWORK = Homework(
    name="my_homework",
    folder=Path(__file__).resolve().parent,
    modules=(softmax,),
)
