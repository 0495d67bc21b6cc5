"""4c DialogueGPT(vocab_size, max_N, dim, attn_dim, mlp_dim, num_heads, num_layers): ids (B, T) -> logits (B, T, V), alphas.

With a stand-in for the Transformer its input and its mask are seen, and what it returns is known: embeddings, mask and head are
judged apart from each other. A model that builds no Transformer has to show by its attention weights that it attends. Models
are in evaluation mode, but where modes are compared, and leave a position unused, but where all of them are.
"""

from grader.homework3.dialogue_gpt import causality, embeddings, generation, shapes

MODULES = (shapes, causality, embeddings, generation)
