"""Autograder for notebooks of a deep-learning homework."""

__version__ = "0.1.0"
