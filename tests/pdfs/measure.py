"""Measures how often the pages of an item are found, on generated PDFs.

python -m tests.pdfs.measure [COUNT] [--held-out] [--show]
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from grader.pdfs import Document, Found, find_items, read
from tests.pdfs.answers import ITEMS, template
from tests.pdfs.styles import STYLES, Sample, sample


@dataclass(frozen=True)
class Wrong:
    """An item whose pages were not found."""

    item: str
    expected: tuple[int, ...]
    found: Found


def wrong_in(one: Sample, document: Document) -> list[Wrong]:
    """Every item of a PDF whose pages differ from those that it was written to.

    One that the PDF does not answer has to be given up: the whole document is shown, with a confidence of 0.
    """
    wrong = []
    for item, found in find_items(document, ITEMS, template()).items():
        expected = tuple(sorted(one.truth.get(item, ())))
        right = found.pages == expected if expected else found.confidence == 0
        if not right:
            wrong.append(Wrong(item, expected, found))
    return wrong


def samples(count: int, *, held_out: bool = False) -> Iterator[tuple[str, Sample]]:
    """As many PDFs, of each style the same number."""
    if held_out:
        from tests.pdfs import held_out as other

        styles = list(other.STYLES)
        for number in range(count):
            style = styles[number % len(styles)]
            yield f"{style}-{number // len(styles)}", other.sample(style, number // len(styles))
        return
    styles = list(STYLES)
    for number in range(count):
        style = styles[number % len(styles)]
        yield f"{style}-{number // len(styles)}", sample(style, number // len(styles))


def main(arguments: list[str]) -> None:
    """Print the shares of items and of PDFs that were found right, and with ``--show`` what was not."""
    count = next((int(one) for one in arguments if one.isdigit()), 200)
    whole, right, perfect, by_style = 0, 0, 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for name, one in samples(count, held_out="--held-out" in arguments):
            path = Path(folder, f"{name}.pdf")
            path.write_bytes(one.data)
            wrong = wrong_in(one, read(path))
            whole, right, perfect = whole + len(ITEMS), right + len(ITEMS) - len(wrong), perfect + (not wrong)
            by_style[one.style] += len(wrong)
            if wrong and "--show" in arguments:
                Path("/tmp", f"wrong-{name}.pdf").write_bytes(one.data)
                print(name)
                for miss in wrong:
                    print("   ", miss.item, "expected", miss.expected, "found", miss.found)
            path.unlink()
    print(
        f"items: {right} of {whole} ({right / whole:.2%}); PDFs without a mistake: {perfect} of {count} ({perfect / count:.1%})"
    )
    print("wrong items by style:", dict(by_style))


if __name__ == "__main__":
    main(sys.argv[1:])
