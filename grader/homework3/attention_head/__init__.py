"""2a AttentionHead(dim, n_hidden): x (B, T, dim), attn_mask (B, T, T) or None -> (B, T, n_hidden), alpha (B, T, T).

A head is judged by function. Where the homework's own layers are found, a float64 oracle with their weights gives the expected
result. In any other layout, the maps of scores and values are fitted to a few results and predict others (`identify`).

Each fault costs its own criterion. So a property that fails asks what else may be the reason (`excuses`), and stands back where
another property must find the fault. Properties of softmax and values call the head in evaluation mode with one sequence at a
time; modes and batches are for others. Results are read in any order and with extra axes of size 1, except by `test_shapes`.
"""

from grader.homework3.attention_head import learning, masks, shapes, softmax, values

MODULES = (shapes, softmax, masks, values, learning)
