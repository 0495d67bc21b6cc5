"""What helps people to grade consistently: alike answers, checked formulas, agreement between graders.

All of it is advice computed from plain data. Nothing here gives points.
"""
