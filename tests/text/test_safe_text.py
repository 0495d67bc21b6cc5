"""Whatever a student writes, no format is broken or misled by it."""

from __future__ import annotations

import html
import io
import json
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from grader.text.safe_text import clean, for_csv, for_html, for_markdown, markdown_code, one_line, shorten

# Every code point, lone surrogates too, and often what does harm.
CONTROL = "\x00\x07\x1b\x9b\r\n\t\x7f"
UNSEEN = "\u202e\u2066\u200b\u200d\ufeff\u2028\u00ad\u115f\u2800\ufe0f\U000e0041\U000e0100"
NASTY = CONTROL + UNSEEN + "\ud800\udfff"
ANY = st.text(st.one_of(st.characters(categories=None), st.sampled_from(NASTY + "=+-@[]<>&`*_|#\\'\"")))


@given(ANY, st.integers(0, 400))
@example("\x1b[2J\x1b]8;;http://example.com\x1b\\", 100)
def test_clean_text_is_printable_bounded_and_stays_as_it_is(text, limit):
    safe = clean(text, limit)
    assert safe.replace("\n", "").isprintable()
    assert len(safe) <= limit
    assert clean(safe, limit) == safe
    safe.encode("utf-8")


@given(ANY)
def test_clean_text_hides_nothing_and_reorders_nothing(text):
    for character in clean(text):
        assert (
            unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
            or character == "\n"
        )


@given(
    st.text(
        st.characters(categories=["L", "N", "P", "S"], exclude_characters="\u115f\u1160\u2800\u3164\uffa0"),
        max_size=50,
    )
)
def test_ordinary_text_is_left_alone(text):
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a\tb", "a    b"),
        ("a\r\nb", "a\nb"),
        ("100%\rfailed", "100%\\x0dfailed"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("abc\u202egnp", "abc\\u202egnp"),
        ("a\u00a0b", "a b"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("e" + "\u0301" * 50, "e" + "\u0301" * 3),
        ("naïve ∑ 日本", "naïve ∑ 日本"),
    ],
)
def test_what_is_made_of_it(text, safe):
    assert clean(text) == safe


def test_long_text_says_how_much_was_cut():
    short = shorten("a" * 500 + "z" * 500, 100)
    assert len(short) == 100
    assert short.startswith("aaa")
    assert short.endswith("zzz")
    assert "characters cut" in short


def test_huge_text_is_cut_before_it_is_read():
    assert len(clean("\x1b" * 50_000_000)) <= 4000


@given(ANY)
def test_one_line_is_one_line(text):
    assert "\n" not in one_line(text)
    assert len(one_line(text)) <= 300


@given(ANY)
@example("=cmd|' /C calc'!A0")
@example("\t=1+1")
@example("\u200b=1")
def test_a_spreadsheet_sees_no_formula(text):
    assert not for_csv(text).lstrip().startswith(("=", "+", "-", "@", "|", "%", "＝", "＋", "－", "＠"))


@given(ANY)
@example("<script>alert(1)</script>")
def test_html_has_no_markup(text):
    safe = for_html(text)
    assert not set("<>\"'`") & set(safe)
    assert html.unescape(safe) == clean(text)


@given(ANY)
@example("[x](javascript:alert(1)) <b> # @everyone http://a.b")
def test_markdown_leaves_no_punctuation_to_read(text):
    safe = for_markdown(text)
    rest = re.sub(r"&#\d+;|\\[!-/:-@\[-`{-~]", "", safe)
    assert not re.search(r"[!-/:-@\[-`{-~]", rest)
    assert not re.search(r"(?m)^ | $", safe)


@given(st.text(alphabet="`~\na ", max_size=60) | ANY)
def test_a_code_block_ends_where_it_should(text):
    lines = markdown_code(text).split("\n")
    fence = lines[-1]
    assert set(fence) == {"`"}
    assert all(fence not in line for line in lines[1:-1])


@given(ANY)
def test_json_and_terminal_take_it(text):
    assert json.loads(json.dumps(clean(text), ensure_ascii=False).encode("utf-8")) == clean(text)
    stream = io.StringIO()
    Console(file=stream, force_terminal=True, color_system=None, width=200).print(Text(clean(text)))
    assert stream.getvalue().replace("\n", "").isprintable()
