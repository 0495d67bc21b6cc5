"""The formulas that the questions on recurrent networks ask for."""

from __future__ import annotations

from grader.insight.notation import AskedFormulas, Notation

_NOTATION = Notation(
    matrices={"W_h": ("hidden", "hidden"), "W_x": ("hidden", "in"), "W_y": ("out", "hidden")},
    inputs={"x": "in"},
    states={"h": "hidden", "y": "out"},
    functions={"phi_y": "unknown", "phi_h": "identity"},
    known=("h_0 = 0", "h_t = W_h h_{t-1} + W_x x_t", "y_t = phi_y(W_y h_t)"),
    horizon="T",
)
FORMULAS = {
    "1a": AskedFormulas(_NOTATION, ("h_2", "y_2")),
    "1b": AskedFormulas(_NOTATION, ("h_3", "y_3")),
    "1c": AskedFormulas(_NOTATION, ("h_T", "y_T")),
}
