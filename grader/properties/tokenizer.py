"""4a MyTokenizer(raw_text): encode(s) -> ids (T,), decode(ids) -> tokens joined by spaces.

How a text is split, unknown words and decoding are judged apart: laws on one of them take the others as the student has them.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np

from grader.kernel.remote import Remote, Student, StudentError
from grader.properties import draws, expect
from grader.properties.draws import TextCase, WordsCase
from grader.properties.law import Part, Program, law
from grader.tokenizer_data import word_tokenize

PART = Part("4a", "MyTokenizer")
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
            f"{name} is {expect.show(reply)}, but a one-dimensional tensor of ids is asked for"
        )
    expect.holds(reply.ndim == 1, f"{name} has shape {reply.shape}, but one dimension is asked for")
    expect.holds(reply.dtype == np.int64, f"{name} holds {reply.dtype.name}, but int64 is asked for")
    return [int(number) for number in reply]


def loose_ids(reply: Any) -> list[int]:
    """The ids of an encoding of any type and shape."""
    if isinstance(reply, list | tuple) and all(type(number) in (int, float) for number in reply):
        return [int(number) for number in reply]
    if isinstance(reply, np.ndarray) and np.all(np.isfinite(reply)):
        return [int(number) for number in reply.reshape(-1)]
    raise expect.Violation(
        f"encode(s) is {expect.show(reply)}, but a one-dimensional tensor of ids is asked for"
    )


def named(numbers: Sequence[int], ids: Mapping[str, int]) -> list[str]:
    """The tokens that ids stand for."""
    names = {index: token for token, index in ids.items()}
    return [names.get(number, f"(no token has id {number})") for number in numbers]


def wanted_ids(text: str, ids: Mapping[str, int]) -> list[int]:
    """The ids of a text's tokens, without the start token's."""
    return [ids.get(token, ids[UNK]) for token in word_tokenize(text)]


def compare(got: Sequence[int], text: str, ids: Mapping[str, int], why: str) -> None:
    """An encoding is the start id and one id for each token."""
    want = [ids[START], *wanted_ids(text, ids)]
    if list(got) != want:
        raise expect.Violation(why, _side_by_side(named(got, ids), named(want, ids)))


def _side_by_side(got: list[str], want: list[str]) -> dict[str, str]:
    """Two lists of tokens, for a person."""
    place = next(
        (i for i, (one, other) in enumerate(zip(got, want, strict=False)) if one != other),
        min(len(got), len(want)),
    )
    first, right = ((repr(tokens[place]) if place < len(tokens) else "nothing") for tokens in (got, want))
    return {
        "your ids stand for": expect.show(got),
        "expected": expect.show(want),
        "first difference": f"at position {place}: {first}, where {right} has to be",
    }


def known(case: TextCase) -> bool:
    """Whether every token of the text is in the vocabulary."""
    return set(word_tokenize(case.text)) <= set(word_tokenize(case.raw_text))


@law(PART, draws.known_texts().filter(known), examples=14)
def test_encode_gives_an_id_for_each_token(student: Student, case: TextCase) -> Program:
    """encode(s) is the start id, then the id of each word_tokenize token of s, case and punctuation kept."""
    tokenizer, ids = yield from build(student, case.raw_text)
    got = id_list((yield tokenizer.method("encode", case.text)))
    compare(got, case.text, ids, "encode(s) is not the start id and then one id for each token, in order")


@law(PART, draws.known_texts().filter(known), examples=4)
def test_encode_begins_with_the_start_id(student: Student, case: TextCase) -> Program:
    """encode(s) is a one-dimensional int64 tensor that begins with the id of <START>."""
    tokenizer, ids = yield from build(student, case.raw_text)
    got = id_list((yield tokenizer.method("encode", case.text)))
    first = got[0] if got else None
    expect.holds(first == ids[START], f"encode(s) begins with {first}, but the id of <START> is {ids[START]}")


@law(PART, draws.known_texts(), examples=4)
def test_the_empty_string_is_the_start_id_alone(student: Student, case: TextCase) -> Program:
    """encode("") holds the start id and nothing else."""
    tokenizer, ids = yield from build(student, case.raw_text)
    got = id_list((yield tokenizer.method("encode", "")), 'encode("")')
    compare(got, "", ids, 'encode("") is not the start id alone')


@law(PART, draws.words(), examples=6)
def test_unknown_words_become_unk(student: Student, case: WordsCase) -> Program:
    """A word that is not in the vocabulary becomes the id of <UNK>, one for each, where the word's own id would stand."""
    text = " ".join(case.words)
    everything, all_ids = yield from build(student, text)
    tokenizer, ids = yield from build(student, " ".join(case.known))
    full, partly = yield everything.method("encode", text), tokenizer.method("encode", text)
    # Whatever the student's encoding is when all words are known: with fewer known words only those change.
    want = [name if name in ids or name not in all_ids else UNK for name in named(loose_ids(full), all_ids)]
    got = named(loose_ids(partly), ids)
    expect.compared()
    if got != want or UNK not in got:
        shown = _side_by_side(got, want)
        raise expect.Violation(
            "a word that is not in the vocabulary does not become one <UNK> in its place", shown
        )


@law(PART, draws.any_texts().filter(lambda case: bool(word_tokenize(case.text))), examples=5)
def test_any_text_can_be_encoded(student: Student, case: TextCase) -> Program:
    """Any text can be encoded, with as many unknown words as it may hold."""
    everything, all_ids = yield from build(student, f"{case.raw_text}\n\n{case.text}\n\n{case.text}")
    tokenizer, ids = yield from build(student, case.raw_text)
    full, partly = yield everything.method("encode", case.text), tokenizer.method("encode", case.text)
    got = [number for number in loose_ids(partly) if number != ids[START]]
    strange = [number for number in got if not 0 <= number < len(ids)]
    expect.holds(not strange, f"encode(s) holds ids that no token has: {strange}")
    if [number for number in loose_ids(full) if number != all_ids[START]] == wanted_ids(case.text, all_ids):
        compare(
            [ids[START], *got],
            case.text,
            ids,
            "a token that is not in the vocabulary does not become one <UNK> in its place",
        )


@law(PART, draws.known_texts(), examples=7)
def test_decode_joins_the_tokens(student: Student, case: TextCase) -> Program:
    """decode(ids) is the tokens of the ids, special ones too, joined by single spaces."""
    tokenizer, ids = yield from build(student, case.raw_text)
    tokens = [START, *[token for token in word_tokenize(case.text) if token in ids], UNK, PAD, PAD]
    numbers = np.array([ids[token] for token in tokens], np.int64)
    got = yield tokenizer.method("decode", numbers)
    try:
        expect.same(got, " ".join(tokens), "decode(ids)")
    except expect.Violation as violation:
        raise expect.Violation(violation.message, {"ids": expect.show(numbers)}) from None


@law(PART, draws.any_texts(), examples=5, catches=True)
def test_decode_undoes_encode(student: Student, case: TextCase) -> Program:
    """decode(encode(s)) names every token of the encoding: <START>, the tokens of s, <UNK> for unknown words."""
    tokenizer, ids = yield from build(student, case.raw_text)
    encoded = tokenizer.method("encode", case.text)
    try:
        numbers = id_list((yield encoded))
    except (StudentError, expect.Violation):
        return
    if all(0 <= number < len(ids) for number in numbers):
        got = yield tokenizer.method("decode", encoded)
        expect.same(got, " ".join(named(numbers, ids)), "decode(encode(s))")
