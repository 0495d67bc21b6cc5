"""``python -m benchmarks``: measure, print a table, write JSON."""

from __future__ import annotations

from benchmarks.run import main

main()
