"""Wrong heads: where a property of 2a or 2b stands back, the property that it names finds the fault."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from grader.assignment import PUBLIC_SEED, load_assignment
from grader.audit.corpus import load_all
from grader.audit.fast import FastKernel
from grader.judging.engine import Engine
from grader.scoring.verdict import Verdict
from tests.conftest import handwritten

pytestmark = pytest.mark.long

STANDING_BACK = (
    "2a/returns-scores",
    "2a/softmax-over-queries",
    "2a/uniform-over-permitted-tokens",
    "2a/attention-without-parameters",
    "2a/alpha-of-the-first-sequence",
    "2a/mask-in-training-only",
    "2a/none-is-causal",
    "2a/keys-reshaped",
    "2a/keys-summed-where-masked",
    "2a/dropout-always-on",
    "2a/plain-dict-of-layers",
    "2a/scores-divided-to-whole-numbers",
    "2b/zeros-of-the-right-shapes",
    "2b/rebuilt-heads",
    "2b/mask-in-evaluation-only",
    "2b/none-is-causal-after-the-first-sequence",
    "2b/fused-heads-alike",
    "2b/fused-keys-reshaped",
    "2b/fused-no-mask",
    "2b/fused-n-hidden-is-the-total",
)


@functools.cache
def corpus() -> dict[str, tuple[str, ...]]:
    criteria = {criterion.id for item in load_assignment().rubric.automatic for criterion in item.criteria}
    return {case.name: case.cells for case in load_all(criteria)}


def verdicts(cells: tuple[str, ...], part: str) -> dict[str, Verdict]:
    assignment = load_assignment()
    properties = [prop for prop in assignment.properties if prop.part.item == part]
    with FastKernel(cells) as kernel, Engine(kernel, PUBLIC_SEED, assignment.provided_methods, 1) as engine:
        return engine.judge(properties)


@pytest.mark.parametrize("name", STANDING_BACK)
def test_where_one_stands_back_the_named_property_fails(name):
    found = verdicts(corpus()[name], name[:2])
    stood_back = [verdict for verdict in found.values() if verdict.defers_to]
    assert stood_back, "the answer was chosen because properties stand back from it"
    for verdict in stood_back:
        assert any(found[to].status == "failed" for to in verdict.defers_to), verdict


def lost(cells: list[str], part: str) -> set[str]:
    return {name for name, verdict in verdicts(tuple(cells), part).items() if verdict.status in ("failed", "unreached")}


HEAD = '''
class AttentionHead(nn.Module):
    def __init__(self, dim, n_hidden):
        super().__init__()
        self.W_K, self.W_Q, self.W_V = (nn.Linear(dim, n_hidden) for _ in range(3))
        self.n_hidden = n_hidden

    def forward(self, x, attn_mask):
        scores = self.W_Q(x) @ self.W_K(x).transpose(-2, -1) / math.sqrt(self.n_hidden)
        if attn_mask is not None:
            scores = scores.masked_fill(attn_mask == 0, float("-inf"))
        self.alpha = torch.softmax(scores, dim=-1)
        {returned}
'''
MULTI = '''
class MultiHeadedAttention(nn.Module):
    def __init__(self, dim, n_hidden, num_heads):
        super().__init__()
        self.heads = nn.ModuleList([AttentionHead(dim, n_hidden) for _ in range(num_heads)])
        self.W_O = nn.Linear(num_heads * n_hidden, dim)

    def forward(self, x, attn_mask):
        outs = [head(x, attn_mask) for head in self.heads]
        return self.W_O(torch.cat(outs, dim=-1)), torch.stack([head.alpha for head in self.heads], dim=1)
'''


def test_a_head_that_returns_its_output_alone_costs_nothing_in_2b():
    head = HEAD.format(returned="return self.alpha @ self.W_V(x)")
    cells = handwritten(attention_head=head, multi_headed_attention=MULTI)
    assert lost(cells, "2b") == set()
    assert "attention_head.test_shapes" in lost(cells, "2a")


RETURNED = {
    "named-tuple": """
import collections
Out = collections.namedtuple("Out", "attn_output alpha")
""",
    "dataclass": """
import dataclasses

@dataclasses.dataclass
class Out:
    attn_output: torch.Tensor
    alpha: torch.Tensor
""",
}


@pytest.mark.parametrize("kind", RETURNED)
def test_named_tuples_and_dataclasses_count_as_tuples(kind):
    head = RETURNED[kind] + HEAD.format(returned="return Out(self.alpha @ self.W_V(x), self.alpha)")
    assert lost(handwritten(attention_head=head), "2a") == set()


def test_a_dataclass_with_the_wrong_number_of_fields_fails():
    source = RETURNED["dataclass"] + "    more: int = 0\n"
    head = source + HEAD.format(returned="return Out(self.alpha @ self.W_V(x), self.alpha)")
    assert "attention_head.test_shapes" in lost(handwritten(attention_head=head), "2a")


MESSAGES = (
    ("2a/axis-in-front-where-masked", "attention_head.test_shapes", "alpha (B, T, T) with a mask"),
    ("2a/no-queries", "attention_head.test_alpha_is_the_softmax_of_scaled_scores", "the token of the query"),
    ("2b/fused-one-key-for-all-heads", "multi_headed_attention.test_whole_heads_have_weights_of_their_own", "keys"),
    ("2b/mask-with-a-head-axis", "multi_headed_attention.test_the_mask_reaches_each_head", "expected (T, T)"),
)


@pytest.mark.parametrize(("name", "prop", "text"), MESSAGES)
def test_messages_say_what_is_wrong(name, prop, text):
    verdict = verdicts(corpus()[name], name[:2])[prop]
    assert verdict.status == "failed"
    assert text in verdict.message


@pytest.fixture(autouse=True, scope="module")
def _one_corpus() -> Iterator[None]:
    yield
    corpus.cache_clear()
