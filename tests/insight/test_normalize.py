from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.insight.normalize import key, pieces

SAME = [
    ("The cost is linear.", "the cost is linear"),
    ("The   cost\nis\u00a0linear", "The cost is linear."),
    ("It vanishes, as expected; always.", "It vanishes as expected always"),
    ("**Full** attention is *not* needed", "Full attention is not needed"),
    ("__Full__ attention", "full attention"),
    ("# Cost\nlinear", "Cost linear"),
    ("- vanishes\n- explodes", "* vanishes\n* explodes"),
    ("the \u201cmask\u201d", 'the "mask"'),
    ("It doesn\u2019t vanish", "It does not vanish"),
    ("It can't vanish", "It cannot vanish"),
    ("\uff34he \ufb01rst \u200binput", "The first input"),
    ("$O(T^2)$", "O(T^2)"),
    ("O(T\u00b2)", "$O(T^{2})$"),
    ("x\u2081 and x\u2081\u2082", "x_1 and $x_{12}$"),
    (r"$W_h^{T-t}\,W_x x_t$", r"$W_{h}^{T-t} W_{x} x_{t}$"),
    (r"$\left( W_h \right)^2$", "$(W_h)^2$"),
    (r"\[ a = b. \]", "$$a=b$$"),
    (r"\begin{align*} a &= b \end{align*}", "$a = b$"),
    (r"$\mathbf{W}_h \mathbf{x}_1$", "$W_h x_1$"),
    (r"$\mathbf{h}_T = \mathbf{W}_h^{T-t} \mathbf{x}_t$", "$h_T = W_h^{T-t} x_t$"),
    (r"$a \leq b, \quad c$", r"$a \le b, c$"),
    ("`softmax` of the scores", "softmax of the scores"),
    ("T \u2212 t", "T - t"),
    ("half<br>full", "half full"),
]
OTHER = [
    ("It vanishes", "It does not vanish"),
    ("It vanishes", "It never vanishes"),
    ("with a mask", "without a mask"),
    ("linear", "nonlinear"),
    ("O(T)", "O(t)"),
    ("O(T^2)", "O(T^3)"),
    ("O(T\u00b2)", "O(T2)"),
    ("O(T\u00b2)", "O(T)"),
    ("x\u2081", "x1"),
    ("W\u1d40x", "WTx"),
    ("2\u00bd steps", "21/2 steps"),
    ("0.5", "05"),
    ("0.5", "5"),
    ("1,000", "1.000"),
    ("50 %", "50"),
    ("~50", "50"),
    ("-1", "1"),
    ("- 1 is the limit", "1 is the limit"),
    ("the value is -1", "the value is 1"),
    ("T - t", "T + t"),
    ("T \u2013 t", "T t"),
    ("$a+b$", "$a-b$"),
    ("$ab$", "$a/b$"),
    ("$W_h x$", "$W_x h$"),
    ("$x_{12}$", "$x_12$"),
    ("$x^{10}$", "$x^10$"),
    (r"$\Delta$", r"$\delta$"),
    (r"\Delta grows", r"\delta grows"),
    (r"$\mathbf{x} = x$", "$x = x$"),
    (r"$W^\mathrm{T}$", "$W^T$"),
    (r"$\bar{x}$", "$x$"),
    (r"\begin{pmatrix} a & b \end{pmatrix}", r"$\begin{pmatrix} a b \end{pmatrix}$"),
    ("n! steps", "n steps"),
    ("f' is small", "f is small"),
    ("a > b", "a < b"),
    ("a = b", "a != b"),
    ("W*x", "W x"),
    ("f(a, b)", "f(a b)"),
    ("O(T), O(1)", "O(T) O(1)"),
    ("A is linear", "a is linear"),
    ("Wh is large", "WH is large"),
    ("the rate hT", "the rate ht"),
    ("~~vanishes~~ explodes", "vanishes explodes"),
    ("Does it vanish?", "Does it vanish"),
    ("1. vanishes", "2. vanishes"),
    ("RNN: O(T)\nattention: O(T^2)", "RNN: O(T^2)\nattention: O(T)"),
    ("`__init__`", "`init`"),
    ("`a.b`", "`a b`"),
    ("RNN and then GPT", "GPT and then RNN"),
    ("a [link](one.png)", "a [link](two.png)"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_what_only_looks_different_is_the_same(left: str, right: str) -> None:
    assert key(pieces(left)) == key(pieces(right))


@pytest.mark.parametrize(("left", "right"), OTHER)
def test_what_means_something_else_stays_different(left: str, right: str) -> None:
    assert key(pieces(left)) != key(pieces(right))


def test_the_key_keeps_the_order_and_the_borders_of_words() -> None:
    assert key(pieces("now here")) != key(pieces("nowhere"))
    assert key(pieces("mask then softmax")) != key(pieces("softmax then mask"))


@given(st.text(max_size=80))
def test_any_text_has_a_key(text: str) -> None:
    assert all(key(pieces(text)))


@given(st.text(alphabet="Ta1 .,-+*_^$\\(){}[]`#'\n2²₁½", max_size=40))
def test_marks_never_change_what_follows_them(text: str) -> None:
    """An answer with one more number is another answer."""
    assert key(pieces(text + " 7")) != key(pieces(text))


MARKS = ["*", "**", "_", "$", "$$", "\\[", "\\(", "\\begin{align}", "`", "- ", "(", "<br", "x^", "²", "\n", "*a "]


@pytest.mark.parametrize("unit", MARKS)
def test_long_answers_of_one_mark_are_read(unit: str) -> None:
    text = unit * (10_000 // len(unit))
    assert key(pieces(text)) == key(pieces(text))
