"""Autograder for notebooks of a deep-learning homework."""

__version__ = "1.0.0"
