"""2c Transformer(dim, attn_dim, mlp_dim, num_heads, num_layers): x (B, T, dim), attn_mask -> (B, T, dim), alphas.

The alphas are None or of shape (B, L, H, T, T). Where the module builds AttentionResidual blocks, stand-ins take their place
and record what they are given, so that each step of a call is known exactly. Each property calls one object several times:
with a mask and without, with the alphas and without, in both modes, with a larger and with a smaller batch.
A module that builds no block, or works only with the student's own, is judged whole.
"""

from grader.homework3.transformer import (
    alphas,
    layers,
    masks,
    shapes,
    whole_alphas,
    whole_layers,
    whole_masks,
)

MODULES = (shapes, layers, masks, alphas, whole_layers, whole_masks, whole_alphas)
