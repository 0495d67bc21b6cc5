"""The disguises do what they say, and disguised code does what it did before."""

import ast
import math
import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference.transformer import AttentionHead, AttentionResidual, Transformer
from tests.insight.independent_class import independent_class
from tests.insight.rewrites import REWRITES

MASK = torch.ones(2, 5, 5).tril()
IDS = torch.tensor([[0, 3, 4, 5, 1], [0, 2, 6, 7, 3]])
CALLS = {
    "2a": ("AttentionHead", (8, 4), lambda made: made(torch.linspace(-1, 1, 80).view(2, 5, 8), MASK)),
    "2b": (
        "MultiHeadedAttention",
        (8, 4, 3),
        lambda made: made(torch.linspace(-1, 1, 80).view(2, 5, 8), MASK),
    ),
    "2c": (
        "Transformer",
        (8, 4, 16, 2, 2),
        lambda made: made(torch.linspace(-1, 1, 80).view(2, 5, 8), MASK, True),
    ),
    "3a": ("PatchEmbed", (8, 4, 3, 6), lambda made: made(torch.linspace(-1, 1, 384).view(2, 3, 8, 8))),
    "4a": (
        "MyTokenizer",
        ("to be or not",),
        lambda made: (made.encode("to be is"), made.decode(torch.tensor([3, 4]))),
    ),
    "4c": ("DialogueGPT", (9, 8, 8, 4, 16, 2, 2), lambda made: made(IDS, True)),
    "4d": (
        "DialogueLoss",
        (),
        lambda made: made(torch.linspace(-1, 1, 80).view(2, 5, 8), IDS, (IDS != 1).float()),
    ),
}


def result_of(source: str, part: str) -> object:
    name, sizes, call = CALLS[part]
    names = {
        "torch": torch, "nn": nn, "F": F, "math": math, "Tensor": Tensor, "AttentionHead": AttentionHead,
        "AttentionResidual": AttentionResidual, "Transformer": Transformer, "Sequence": list, "print": lambda *a: None,
        "word_tokenize": str.split,
    }  # fmt: skip
    exec(compile(source, part, "exec"), names)
    torch.manual_seed(0)
    return call(names[name](*sizes))


def assert_same(one: object, other: object) -> None:
    if isinstance(one, tuple):
        assert isinstance(other, tuple)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    elif isinstance(one, Tensor):
        assert isinstance(other, Tensor)
        assert torch.equal(one, other)
    else:
        assert one == other


@pytest.mark.parametrize("name", REWRITES)
def test_a_disguise_changes_the_source_and_not_the_result(name):
    changed = 0
    for key, sources in independent_class(6, seed=3, corpus=False).items():
        for part, source in sources.items():
            made = REWRITES[name](source, random.Random(key))
            changed += made != source
            assert_same(result_of(made, part), result_of(source, part))
    assert changed > 10


def test_several_disguises_leave_the_result():
    for key, sources in independent_class(3, seed=4, corpus=False).items():
        rng = random.Random(key)
        for part, source in sources.items():
            made = source
            for name in REWRITES:
                made = REWRITES[name](made, rng)
            assert_same(result_of(made, part), result_of(source, part))


def test_comments_and_layout_change_nothing_else():
    for sources in independent_class(3, seed=5, corpus=False).values():
        for source in sources.values():
            made = REWRITES["comments"](source, random.Random(1))
            assert ast.dump(ast.parse(made)) == ast.dump(ast.parse(source))
