"""4a MyTokenizer(raw_text): encode(s) -> ids (T,), decode(ids) -> tokens joined by spaces.

Splitting a text, unknown words and decoding are judged apart: a property of one takes the others as the student has them.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np

from grader.homework3 import strategies
from grader.homework3.strategies import TextCase, WordsCase
from grader.judging import expect, pictures
from grader.judging.property import Part, Program, property_of
from grader.kernel.remote import Remote, Student, StudentError
from grader.scoring.pictures import Sequences
from grader.tokenizer_data import word_tokenize

PART = Part("4a", "MyTokenizer")
ENCODE = "tokenizer.test_encode_gives_an_id_for_each_token"
LONGEST_SHOWN = 300
"""Characters of a text or a list that a message shows as a whole."""
START, PAD, UNK = SPECIAL = ("<START>", "<PAD>", "<UNK>")


def vocabulary(raw_text: str) -> dict[str, int]:
    """Token to id as the provided constructor gives them: the special tokens, then the sorted unique tokens."""
    return {token: index for index, token in enumerate([*SPECIAL, *sorted(set(word_tokenize(raw_text)))])}


def build(student: Student, raw_text: str) -> Generator[Any, Any, tuple[Remote, dict[str, int]]]:
    """A tokenizer and its vocabulary: its own ``tok_to_id`` where that is a proper one, else the provided constructor's."""
    tokenizer = student.MyTokenizer(raw_text)
    wanted = vocabulary(raw_text)
    table = yield tokenizer.attribute("tok_to_id")
    if isinstance(table, dict) and set(table) == set(wanted):
        ids = list(table.values())
        if all(type(number) is int for number in ids) and sorted(ids) == list(range(len(wanted))):
            return tokenizer, dict(table)
    return tokenizer, wanted


def id_list(reply: Any, name: str = "encode(s)") -> list[int]:
    """An encoding, checked: a one-dimensional int64 tensor."""
    if not isinstance(reply, np.ndarray):
        raise expect.Violation(
            f"{name} is {expect.show(reply)}, expected a one-dimensional tensor of ids"
        )
    expect.holds(reply.ndim == 1, f"{name} has shape {reply.shape}, expected one dimension")
    expect.holds(reply.dtype == np.int64, f"{name} holds {reply.dtype.name}, expected int64")
    return [int(number) for number in reply]


def loose_ids(reply: Any) -> list[int]:
    """The ids of an encoding of any type and shape."""
    if isinstance(reply, list | tuple) and all(type(number) in (int, float) for number in reply):
        return [int(number) for number in reply]
    if isinstance(reply, np.ndarray) and np.all(np.isfinite(reply)):
        return [int(number) for number in reply.reshape(-1)]
    raise expect.Violation(
        f"encode(s) is {expect.show(reply)}, expected a one-dimensional tensor of ids"
    )


def named(numbers: Sequence[int], ids: Mapping[str, int]) -> list[str]:
    """The tokens that ids stand for."""
    names = {index: token for token, index in ids.items()}
    return [names.get(number, f"(no token has id {number})") for number in numbers]


def wanted_ids(text: str, ids: Mapping[str, int]) -> list[int]:
    """The ids of a text's tokens, without the start token's."""
    return [ids.get(token, ids[UNK]) for token in word_tokenize(text)]


def compare(got: Sequence[int], text: str, ids: Mapping[str, int], why: str) -> None:
    """The ids of an encoding stand for the start token and each token of a text, unknown ones as such."""
    tokens, want = named(got, ids), [START, *word_tokenize(text)]
    want = [token if token in ids else UNK for token in want]
    if tokens != want:
        draw = functools.partial(_aligned, tokens, want)
        raise expect.Violation(why, _side_by_side(tokens, want), draw=draw, values=[np.array(got)])


def _aligned(got: Sequence[str], want: Sequence[str]) -> Sequences | None:
    """The same as a picture; as much of what was expected as the text shows, which is cut where it is long."""
    short = len(expect.show(list(want))) < LONGEST_SHOWN
    rows = {"your tokens": got, **({"expected": want} if short else {})}
    return pictures.sequences(rows, _first_difference(got, want), "The first difference is marked.")


def _first_difference(got: Sequence[str], want: Sequence[str]) -> int:
    pairs = enumerate(zip(got, want, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(got), len(want)))


def _side_by_side(got: list[str], want: list[str]) -> dict[str, str]:
    """Two lists of tokens, for a person."""
    place = _first_difference(got, want)
    first, right = ((repr(tokens[place]) if place < len(tokens) else "nothing") for tokens in (got, want))
    return {
        "your ids stand for": expect.show(got),
        "expected": expect.show(want),
        "first difference": f"at position {place}: {first}, expected {right}",
    }


def _spoken(got: Any, want: str) -> Sequences | None:
    """Two decoded texts, word by word."""
    short = len(expect.show(want)) < LONGEST_SHOWN
    return _aligned(got.split(" "), want.split(" ")) if isinstance(got, str) and short else None


def known(case: TextCase) -> bool:
    """Whether every token of the texts is in the vocabulary."""
    return set(word_tokenize(case.text)) | set(word_tokenize(case.other)) <= set(word_tokenize(case.raw_text))


short_texts = strategies.known_texts().filter(known)
long_texts = strategies.long_texts().filter(known)


@property_of(PART, (*[short_texts] * 11, long_texts), examples=12)
def test_encode_gives_an_id_for_each_token(student: Student, case: TextCase) -> Program:
    """encode(s) is the start id followed by the id of each word_tokenize token of s, with case and punctuation kept."""
    tokenizer, ids = yield from build(student, case.raw_text)
    texts = (case.text, case.other)
    replies = yield [tokenizer.method("encode", text) for text in texts]
    why = "encode(s) is not the start id and then one id for each token, in order"
    for number, (reply, text) in enumerate(zip(replies, texts, strict=True)):
        after = ", the second time that it is called" if number else ""
        expect.compared()
        compare(id_list(reply), text, ids, f"{why}{after}")


@property_of(PART, short_texts, examples=4)
def test_encode_begins_with_the_start_id(student: Student, case: TextCase) -> Program:
    """encode(s) is a one-dimensional int64 tensor that begins with the id of <START>."""
    tokenizer, ids = yield from build(student, case.raw_text)
    got = id_list((yield tokenizer.method("encode", case.text)))
    first = got[0] if got else None
    expect.holds(first == ids[START], f"encode(s) begins with {first}, but the id of <START> is {ids[START]}")


@property_of(PART, strategies.known_texts(), examples=3)
def test_the_empty_string_is_the_start_id_alone(student: Student, case: TextCase) -> Program:
    """encode("") is the start id alone."""
    tokenizer, ids = yield from build(student, case.raw_text)
    got = id_list((yield tokenizer.method("encode", "")), 'encode("")')
    expect.compared()
    compare(got, "", ids, 'encode("") is not the start id alone')


@property_of(PART, strategies.words(), examples=6)
def test_unknown_words_become_unk(student: Student, case: WordsCase) -> Program:
    """Each word that is not in the vocabulary becomes one <UNK> id in its place."""
    text = " ".join(case.words)
    everything, all_ids = yield from build(student, text)
    tokenizer, ids = yield from build(student, " ".join(case.known))
    pairs = yield [[of.method("encode", text) for of in (everything, tokenizer)] for _ in range(2)]
    # Whatever the student's encoding is when all words are known: with fewer known words only those change.
    for full, partly in pairs:
        names = named(loose_ids(full), all_ids)
        if not set(names) & set(case.known):
            expect.stand_back(ENCODE, "encode(s) gives no word an id of its own, not even a known one")
        want = [name if name in ids or name not in all_ids else UNK for name in names]
        got = named(loose_ids(partly), ids)
        expect.compared()
        if got != want or UNK not in got:
            why = "a word that is not in the vocabulary does not become one <UNK> in its place"
            draw = functools.partial(_aligned, got, want)
            raise expect.Violation(why, _side_by_side(got, want), draw=draw, values=[partly])


@property_of(PART, strategies.any_texts().filter(lambda case: bool(word_tokenize(case.text))), examples=5)
def test_any_text_can_be_encoded(student: Student, case: TextCase) -> Program:
    """Any text can be encoded, however many unknown words it has."""
    everything, all_ids = yield from build(student, f"{case.raw_text}\n\n{case.text}\n\n{case.text}")
    tokenizer, ids = yield from build(student, case.raw_text)
    full, partly = yield everything.method("encode", case.text), tokenizer.method("encode", case.text)
    got = [number for number in loose_ids(partly) if number != ids[START]]
    strange = [number for number in got if not 0 <= number < len(ids)]
    expect.require(not strange, f"encode(s) holds ids that no token has: {strange}")
    if [number for number in loose_ids(full) if number != all_ids[START]] != wanted_ids(case.text, all_ids):
        expect.stand_back(ENCODE, "encode(s) is not right where all tokens are known")
    expect.compared()
    why = "a token that is not in the vocabulary does not become one <UNK> in its place"
    compare([ids[START], *got], case.text, ids, why)


@property_of(PART, strategies.known_texts(), examples=6)
def test_decode_joins_the_tokens(student: Student, case: TextCase) -> Program:
    """decode(ids) joins the tokens of the ids, special tokens included, by single spaces; no ids give an empty string."""
    tokenizer, ids = yield from build(student, case.raw_text)
    tokens = [START, *[token for token in word_tokenize(case.text) if token in ids], UNK, PAD, PAD]
    one = tokens[len(tokens) // 2]
    texts: tuple[list[str], ...] = (tokens, tokens[::-1], [], [one], [START], tokens * (1 + 150 // len(tokens)))
    numbers = [np.array([ids[token] for token in some], np.int64) for some in texts]
    replies = yield [tokenizer.method("decode", some) for some in numbers]
    for some, sent, got in zip(texts, numbers, replies, strict=True):
        try:
            expect.same(got, " ".join(some), "decode(ids)")
        except expect.Violation as violation:
            draw = functools.partial(_spoken, got, " ".join(some))
            raise violation.showing({"ids": expect.show(sent)}, draw) from None


@property_of(PART, strategies.any_texts(), examples=5, catches=True)
def test_decode_undoes_encode(student: Student, case: TextCase) -> Program:
    """decode(encode(s)) gives <START>, then the tokens of s, with <UNK> for unknown words."""
    tokenizer, ids = yield from build(student, case.raw_text)
    encoded = tokenizer.method("encode", case.text)
    encoders = (ENCODE, "tokenizer.test_unknown_words_become_unk", "tokenizer.test_any_text_can_be_encoded")
    try:
        numbers = id_list((yield encoded))
    except (StudentError, expect.Violation):
        expect.stand_back(encoders, "encode(s) gives nothing that could be decoded")
    if not all(0 <= number < len(ids) for number in numbers):
        expect.stand_back(encoders, "encode(s) holds ids that no token has")
    got = yield tokenizer.method("decode", encoded)
    text = " ".join(named(numbers, ids))
    with expect.drawn(lambda: _spoken(got, text)):
        expect.same(got, text, "decode(encode(s))")
