"""Grading a class: finding submissions, grading them on several cores, keeping results, reporting on all of them."""
