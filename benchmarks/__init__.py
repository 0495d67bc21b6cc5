"""Measurements of the grader, beside otter-grader and nbgrader in the same run: ``python -m benchmarks``."""
