"""Autograder for the homework on attention, Transformers, a Vision Transformer and a GPT."""

__version__ = "0.1.0"
