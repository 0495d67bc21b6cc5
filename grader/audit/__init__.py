"""Audits the rubric: wrong answers must lose what they should and nothing else, right answers nothing at all."""
