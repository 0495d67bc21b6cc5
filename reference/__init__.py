"""A solution of every part of the homework, and the source of the notebook that students get."""
