"""Finds the methods of the template that replace the student's."""

from __future__ import annotations

import ast
import functools

from grader.submission.syntax import tree_of
from grader.submission.template import Template


@functools.lru_cache(maxsize=8)
def provided_methods(
    template: Template, wanted: tuple[tuple[str, str], ...]
) -> dict[str, list[tuple[str, str, str]]]:
    """The template's methods that are used instead of the student's, as (class, method, source) by the class's name.

    ``wanted`` names the class and the method of each.
    """
    found: dict[str, list[tuple[str, str, str]]] = {}
    for cell in template.cells:
        for owner, method in wanted:
            if f"class {owner}" not in cell.source:
                continue
            for node in ast.walk(tree_of(cell.source)):
                if isinstance(node, ast.ClassDef) and node.name == owner:
                    sources = [
                        template.with_imports(ast.unparse(part))
                        for part in node.body
                        if isinstance(part, ast.FunctionDef) and part.name == method
                    ]
                    found[owner] = [(owner, method, source) for source in sources]
    return found
