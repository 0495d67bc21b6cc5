"""2b MultiHeadedAttention(dim, n_hidden, num_heads): x (B, T, dim), attn_mask -> (B, T, dim), alphas (B, H, T, T).

Where the module is built from AttentionHeads, stand-ins take their place and record what they are given. Where it builds none,
or works only with the student's own, it is judged whole: the maps of each head's scores and of what it adds to the output are
fitted to a few results and predict others (`identify`), whatever the layout of the weights.

Each fault costs its own criterion, as for `attention_head`. Properties of the projection give the module one sequence at a
time.
"""

from grader.homework3.multi_headed_attention import (
    heads,
    projection,
    shapes,
    whole_attention,
    whole_masks,
    whole_projection,
)

MODULES = (shapes, heads, projection, whole_attention, whole_masks, whole_projection)
