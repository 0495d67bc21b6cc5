"""Runs properties with pytest: ``pytest grader/homework3/attention_head --submission homework.ipynb``."""

from grader.judging.pytest_plugin import (
    pytest_addoption,
    pytest_collect_file,
    pytest_pycollect_makemodule,
    student,
)

__all__ = ["pytest_addoption", "pytest_collect_file", "pytest_pycollect_makemodule", "student"]
