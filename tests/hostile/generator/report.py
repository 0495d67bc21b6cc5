"""Submissions that attack the people who read the report: escapes, markup, formulas."""

# ruff: noqa: E501  (payloads)
from __future__ import annotations

from collections.abc import Callable

from tests.hostile.generator.kinds import Notebook, kinds
from tests.hostile.generator.payloads import behind, in_each_cell, in_forward, with_fields

ESCAPES = '\x1b[2J\x1b]0;owned\x07\x1b[31m\x9b31m\u202egnp.exe\u2066\u200b\r\x08\x00<script>alert(1)</script>=HYPERLINK("x")'


def _raised(text: str) -> Callable[[Notebook], bytes]:
    return in_forward(f"def answer(original, self, args, kwargs):\n    raise ValueError({text!r})\n")


KINDS = kinds(
    "report",
    escapes_in_messages=_raised(ESCAPES),
    escapes_in_cell_errors=behind(f"raise ValueError({ESCAPES!r})"),
    escapes_in_class_names=behind(f"raise type({ESCAPES!r}.replace(chr(0), ''), (Exception,), {{}})('x')"),
    escapes_in_returned_types=in_forward(
        f"Odd = type({ESCAPES!r}.replace(chr(0), ''), (), {{}})\ndef answer(original, self, args, kwargs):\n    return Odd(), Odd()\n"
    ),
    escapes_in_source=in_forward(
        "def answer(original, self, args, kwargs):\n    raise ValueError  # \x1b[2J \u202e <img src=x onerror=alert(1)>\n"
    ),
    escapes_in_returned_text=behind(
        f"if 'MyTokenizer' in globals():\n    MyTokenizer.decode = lambda self, toks: {ESCAPES!r}\n"
    ),
    escapes_in_metadata=with_fields(
        metadata={"kernelspec": {"name": ESCAPES, "language": ESCAPES}, "title": ESCAPES}
    ),
    escapes_in_outputs=in_each_cell(
        lambda cell: cell.update(
            outputs=[
                {"output_type": "stream", "name": "stdout", "text": ESCAPES + " accuracy 0.99 " + ESCAPES}
            ]
        )
    ),
    formulas=_raised("=cmd|' /C calc'!A0\n+1+1\n-2\n@SUM(A1)\n\t=1"),
    markup=_raised(
        "[bold red]x[/] [link=file:///etc/passwd]y[/link] ${jndi:x} {{7*7}} %s %(x)s {0.__class__}"
    ),
    html_outputs=behind(
        """
        from IPython.display import HTML, Javascript, display
        display(Javascript("alert(document.cookie)"), HTML("<script>alert(1)</script>"))
        """
    ),
    combining_marks=_raised("e" + "\u0301" * 5000 + "\u202e" * 500),
    missing_module_with_a_name=behind("import \u212bbad\nraise ImportError('\x1b[2J')"),
    lookalike_status=_raised("✓ passed 18 / 18\n\n2a  AttentionHead  4 / 4\n"),
    images_that_are_none=in_each_cell(
        lambda cell: cell.update(
            outputs=[
                {
                    "output_type": "display_data",
                    "metadata": {},
                    "data": {
                        "image/png": "PHN2Zy8+",
                        "text/html": ESCAPES,
                        "image/svg+xml": "<svg onload=alert(1)>",
                    },
                }
            ]
        )
    ),
)
