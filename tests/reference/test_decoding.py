"""Nucleus sampling keeps to the nucleus, and a key-value cache changes nothing but the time it takes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.decoding import generate_cached, generate_nucleus, nucleus
from reference.gpt import DialogueGPT


def small_gpt(max_N=12):
    torch.manual_seed(3)
    return DialogueGPT(13, max_N, dim=16, attn_dim=8, mlp_dim=32, num_heads=3, num_layers=2)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 20), st.floats(0.01, 1.0), st.integers(0, 2**16))
def test_nucleus_is_the_smallest_set_of_likeliest_tokens_that_reaches_p(V, p, seed):
    generator = torch.Generator().manual_seed(seed)
    probs = torch.softmax(3 * torch.randn(V, dtype=torch.float64, generator=generator), 0)
    kept = nucleus(probs, p)
    inside = kept > 0
    assert kept.sum().item() == pytest.approx(1)
    assert probs[inside].sum() >= p - 1e-12
    assert probs[inside].sum() - probs[inside].min() < p, "the least likely token was not needed"
    assert (probs[~inside] <= probs[inside].min()).all()
    torch.testing.assert_close(kept[inside] * probs[inside].sum(), probs[inside])


def test_sampling_never_leaves_the_nucleus():
    model, ids = small_gpt(), torch.randint(13, (64, 3))
    allowed = nucleus(torch.softmax(model(ids)[0][:, -1], -1), 0.5) > 0
    drawn = generate_nucleus(model, ids, 1, p=0.5)[:, -1:]
    assert allowed.gather(1, drawn).all()


def test_a_tiny_nucleus_is_greedy():
    model, ids = small_gpt(), torch.randint(13, (4, 3))
    assert torch.equal(generate_nucleus(model, ids, 10, p=1e-9), model.generate(ids, 10))


@pytest.mark.parametrize(("T", "num_tokens"), [(1, 0), (1, 12), (5, 4), (12, 1), (5, 8)])
def test_cache_changes_no_token(T, num_tokens):
    model, ids = small_gpt().double(), torch.randint(13, (3, T))
    assert torch.equal(generate_cached(model, ids, num_tokens), model.generate(ids, num_tokens))


def test_cache_computes_keys_once_for_each_token():
    model, rows = small_gpt(), []
    for module in model.transformer.layers[0].attn.heads[0].children():
        module.register_forward_hook(lambda _module, args, _out: rows.append(args[0].shape[1]))
    generate_cached(model, torch.randint(13, (1, 4)), 5)
    assert sum(rows) == 3 * (4 + 4), "W_K, W_Q and W_V each see the prompt's 4 tokens and 4 new ones"
