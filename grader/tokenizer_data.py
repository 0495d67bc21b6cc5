"""The Punkt model that `word_tokenize` splits sentences by: where it is, and which one it is."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import cast

from grader.assets import DATA
from grader.errors import GraderError

NLTK_DATA = DATA / "nltk"
"""The folder for the environment variable `NLTK_DATA`, for judge and kernel alike."""

PUNKT = NLTK_DATA / "tokenizers" / "punkt_tab" / "english"
PUNKT_FILES = ("abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt")


@cache
def tokenizer_data_hash() -> str:
    """SHA-256 (64 hex digits) over the Punkt files; raises GraderError if one is missing.

    Two results are comparable only when this is equal: other Punkt data may split a text into other tokens.
    """
    digest = hashlib.sha256()
    for name in PUNKT_FILES:
        try:
            content = (PUNKT / name).read_bytes()
        except OSError as error:
            raise GraderError(f"the tokenizer data is incomplete, reinstall the grader: {error}") from error
        # The length keeps one file's end from passing for the next one's beginning.
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


@cache
def _tokenize() -> Callable[[str], list[str]]:
    with _nothing_but_the_tokenizer():
        from nltk import data  # noqa: PLC0415  (most uses of this module do not need it)
        from nltk.tokenize import word_tokenize as tokenize  # noqa: PLC0415

        data.path[:] = [str(NLTK_DATA)]
        with _any_mode():
            tokenize("Read the data.")  # which nltk keeps
    return cast("Callable[[str], list[str]]", tokenize)


@contextlib.contextmanager
def _nothing_but_the_tokenizer() -> Iterator[None]:
    """Let modules of nltk be imported without nltk's own, which imports all of them. A later import of nltk finds it whole."""
    found = importlib.util.find_spec("nltk")
    if found is None or "nltk" in sys.modules:
        yield
        return
    sys.modules["nltk"] = importlib.util.module_from_spec(found)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "nltk"]:
            del sys.modules[name]


@contextlib.contextmanager
def _any_mode() -> Iterator[None]:
    """Let nltk read what a group may write to: with a umask of 002 that is all of the grader, which we run anyway."""
    try:
        from nltk import pathsec  # noqa: PLC0415  (from 3.10 on)
    except ImportError:
        yield
        return
    before, pathsec.ENFORCE = pathsec.ENFORCE, False
    try:
        yield
    finally:
        pathsec.ENFORCE = before


@lru_cache(maxsize=4096)
def _tokens(text: str) -> tuple[str, ...]:
    return tuple(_tokenize()(text))


def word_tokenize(text: str) -> list[str]:
    """nltk's `word_tokenize`, with the data that ships with the grader and no other."""
    return list(_tokens(text))
