"""Students' PDFs: paired with submissions, read, searched for the pages of each item, and drawn.

A PDF is untrusted. PDFium reads it in a confined process (`grader.pdfs.child`), and one that is damaged, encrypted or too large
is an `UnreadablePdf`, whose message is one line.
"""

from grader.pdfs.document import Document, read
from grader.pdfs.finding import Found, find_items
from grader.pdfs.pairing import Pairing, Unpaired, pair
from grader.pdfs.process import Limits, UnreadablePdf
from grader.pdfs.rendering import render, render_pages

__all__ = [
    "Document",
    "Found",
    "Limits",
    "Pairing",
    "Unpaired",
    "UnreadablePdf",
    "find_items",
    "pair",
    "read",
    "render",
    "render_pages",
]
