"""Answers that compute nothing earn the shapes of their results at most."""

from __future__ import annotations

import pytest

from grader.audit.corpus import Case, Entry
from grader.audit.run import judge_fast
from grader.scoring.rubric import load_rubric
from tests.conftest import handwritten

pytestmark = pytest.mark.long

JUDGED = {criterion.id for item in load_rubric().automatic for criterion in item.criteria}

HEAD = """
class AttentionHead(nn.Module):
    def __init__(self, dim, n_hidden):
        super().__init__()
        self.n_hidden = n_hidden
        self.W_V = nn.Linear(dim, n_hidden)
    def forward(self, x, attn_mask=None):
        B, T, _ = x.shape
        {head}
"""
MULTI = """
class MultiHeadedAttention(nn.Module):
    def __init__(self, dim, n_hidden, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.W_O = nn.Linear(dim, dim)
    def forward(self, x, attn_mask=None):
        B, T, _ = x.shape
        {multi}
"""
TRANSFORMER = """
class Transformer(nn.Module):
    def __init__(self, dim, attn_dim, mlp_dim, num_heads, num_layers):
        super().__init__()
        self.num_heads, self.num_layers = num_heads, num_layers
        self.net = nn.Linear(dim, dim)
    def forward(self, x, attn_mask=None, return_attn=False):
        B, T, _ = x.shape
        alphas = torch.eye(T).expand(B, self.num_layers, self.num_heads, T, T) if return_attn else None
        {transformer}
"""
PATCHES = """
class PatchEmbed(nn.Module):
    def __init__(self, img_size, patch_size, nin, nout):
        super().__init__()
        self.num_patches, self.nout = (img_size // patch_size) ** 2, nout
        self.bias = nn.Parameter(torch.zeros(nout))
    def forward(self, x):
        B, N = x.shape[0], self.num_patches
        {patches}
"""
GPT = """
class DialogueGPT(nn.Module):
    def __init__(self, vocab_size, max_N, dim, attn_dim, mlp_dim, num_heads, num_layers):
        super().__init__()
        self.V, self.num_heads, self.num_layers = vocab_size, num_heads, num_layers
        self.tokens = nn.Embedding(vocab_size, vocab_size)
    def forward(self, input_ids, return_attn=False):
        B, T = input_ids.shape
        alphas = torch.eye(T).expand(B, self.num_layers, self.num_heads, T, T) if return_attn else None
        {gpt}
"""
LOSS = """
class DialogueLoss(nn.Module):
    def forward(self, logits, input_ids, inp_mask):
        {loss}
"""
ZEROS = {
    "head": "return x.new_zeros(B, T, self.n_hidden), x.new_zeros(B, T, T)",
    "multi": "return torch.zeros_like(x), x.new_zeros(B, self.num_heads, T, T)",
    "transformer": "return torch.zeros_like(x), alphas",
    "patches": "return x.new_zeros(B, N, self.nout)",
    "gpt": "return torch.zeros(B, T, self.V), alphas",
    "loss": "return logits.sum() * 0",
}
EMPTY = {
    "zeros": ZEROS,
    "times-zero": {
        "head": "return self.W_V(x) * 0, x.new_zeros(B, T, T) + 0 * self.W_V(x).sum()",
        "multi": "return self.W_O(x) * 0, x.new_zeros(B, self.num_heads, T, T)",
        "transformer": "return self.net(x) * 0, alphas",
        "patches": "return 0 * x.sum() + self.bias.expand(B, N, -1) * 0",
        "gpt": "return self.tokens(input_ids) * 0, alphas",
        "loss": "return (logits * 0).mean()",
    },
    "constants": {
        "head": "return x.new_ones(B, T, self.n_hidden), x.new_full((B, T, T), 1 / T)",
        "multi": "return torch.ones_like(x), x.new_full((B, self.num_heads, T, T), 1 / T)",
        "transformer": "return torch.ones_like(x), alphas",
        "patches": "return x.new_ones(B, N, self.nout)",
        "gpt": "return torch.ones(B, T, self.V), alphas",
        "loss": "return torch.tensor(1.0)",
    },
    "uniform": {
        "head": "alpha = x.new_full((B, T, T), 1 / T); return alpha @ self.W_V(x), alpha",
        "multi": "alphas = x.new_full((B, self.num_heads, T, T), 1 / T); return self.W_O(alphas[:, 0] @ x), alphas",
        "transformer": "return x.mean(1, keepdim=True).expand_as(x), alphas",
        "patches": "return x.mean((1, 2, 3))[:, None, None].expand(B, N, self.nout) + self.bias",
        "gpt": "return self.tokens(input_ids).mean(1, keepdim=True).expand(B, T, self.V), alphas",
        "loss": "return logits.mean()",
    },
    "untouched": {
        "head": "attn_output, alpha = x, None; return attn_output, alpha",
        "multi": "attn_output, alphas = x, None; return attn_output, alphas",
        "transformer": "return x, None",
        "patches": "return x",
        "gpt": "return None, None",
        "loss": "pass",
    },
}
SUBMISSION = {
    "attention_head": HEAD,
    "multi_headed_attention": MULTI,
    "transformer": TRANSFORMER,
    "patch_embed": PATCHES,
    "dialogue_gpt": GPT,
    "dialogue_loss": LOSS,
}


def earned(**bodies: str) -> set[str]:
    cells = handwritten(**{name: source.format(**bodies) for name, source in SUBMISSION.items()})
    entry = Entry(id="empty", kind="mutant", title="An empty answer.", code="pass", loses=("2a.softmax",))
    verdict = judge_fast(Case("2a", entry, tuple(cells)))
    assert not verdict.errors
    return JUDGED - verdict.criteria


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_answer_earns_shapes_at_most(name):
    kept = {criterion for criterion in earned(**EMPTY[name]) if not criterion.startswith("4a.")}
    assert kept <= {"2a.shapes", "2b.shapes", "2c.shapes", "3a.shapes", "4c.logits"}
