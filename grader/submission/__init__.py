"""Notebook bytes to cells, and which of their statements run. Nothing here executes what a student wrote."""
