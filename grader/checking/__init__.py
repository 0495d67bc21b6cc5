"""The check that students run in their notebook: public properties, judged in the notebook's own process.

`grader.check_package` builds a package of its own from this room, the engine and a homework's public properties. Nothing here
may need more than torch, numpy, hypothesis and IPython.
"""
