"""Draws the pictures of counterexamples: one module for each kind. Matrices and grids are SVG, the others tables."""

from __future__ import annotations

from markupsafe import Markup

from grader.report.pictures.grids import draw_grid
from grader.report.pictures.matrices import draw_matrices
from grader.report.pictures.sequences import draw_sequences
from grader.report.pictures.tables import draw_table
from grader.scoring.pictures import Grid, Matrices, Picture, Sequences


def draw(picture: Picture) -> Markup:
    """A picture as HTML, without its caption; its colors come from the page's style."""
    if isinstance(picture, Matrices):
        return draw_matrices(picture)
    if isinstance(picture, Grid):
        return draw_grid(picture)
    if isinstance(picture, Sequences):
        return draw_sequences(picture)
    return draw_table(picture)
