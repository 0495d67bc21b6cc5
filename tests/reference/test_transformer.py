"""The reference obeys what the docstrings promise, and agrees with torch where torch has the same thing."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.transformer import AttentionHead, MultiHeadedAttention, Transformer


@st.composite
def masks(draw):
    """Masks of zeros and ones, at least one 1 in each row."""
    B, T = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    mask = (torch.rand(B, T, T) < draw(st.floats(0, 1))).float()
    return mask.scatter(2, torch.randint(T, (B, T, 1)), 1.0)


@settings(max_examples=40, deadline=None)
@given(masks())
def test_head_is_scaled_dot_product_attention(mask):
    head, x = AttentionHead(7, 5), torch.randn(*mask.shape[:2], 7)
    attn_output, alpha = head(x, mask)
    expected = F.scaled_dot_product_attention(head.W_Q(x), head.W_K(x), head.W_V(x), attn_mask=mask.bool())
    torch.testing.assert_close(attn_output, expected)
    assert alpha[mask == 0].abs().sum() == 0
    torch.testing.assert_close(alpha.sum(-1), torch.ones(mask.shape[:2]))


def test_head_stays_finite_for_large_scores():
    head = AttentionHead(4, 4)
    with torch.no_grad():
        for weight in (head.W_Q.weight, head.W_K.weight):
            weight.copy_(torch.eye(4) * 100)
    attn_output, alpha = head(torch.randn(2, 6, 4) * 3, torch.ones(6, 6).tril().expand(2, 6, 6))
    assert attn_output.isfinite().all()
    assert alpha.isfinite().all()


@pytest.mark.parametrize("build", [AttentionHead, lambda dim, n: MultiHeadedAttention(dim, n, 3)])
def test_every_parameter_gets_a_gradient(build):
    module = build(7, 5)
    module(torch.randn(2, 4, 7), None)[0].square().sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_multi_headed_attention_keeps_the_order_of_its_heads():
    attention, x = MultiHeadedAttention(7, 5, 3), torch.randn(2, 4, 7)
    mask = torch.ones(4, 4).tril().expand(2, 4, 4)
    output, alphas = attention(x, mask)
    each = [head(x, mask) for head in attention.heads]
    torch.testing.assert_close(output, attention.W_O(torch.cat([out for out, _ in each], -1)))
    for h, (_, alpha) in enumerate(each):
        torch.testing.assert_close(alphas[:, h], alpha)


def test_transformer_returns_attention_of_every_layer_in_order():
    transformer, x = Transformer(7, 5, 6, 3, 2), torch.randn(2, 4, 7)
    mask = torch.ones(4, 4).tril().expand(2, 4, 4)
    output, alphas = transformer(x, mask, return_attn=True)
    assert alphas.shape == (2, 2, 3, 4, 4)
    for number, layer in enumerate(transformer.layers):
        x, expected = layer(x, mask)
        torch.testing.assert_close(alphas[:, number], expected)
    torch.testing.assert_close(output, x)
    assert transformer(x, mask)[1] is None
