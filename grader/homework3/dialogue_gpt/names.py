"""Names of this part's properties that others leave a fault to."""

from __future__ import annotations

SHAPES = "dialogue_gpt.test_shapes"
LONGEST = "dialogue_gpt.test_the_longest_sequence_fits"
ALPHAS = "dialogue_gpt.test_alphas_when_asked"
MODES = "dialogue_gpt.test_same_in_training_and_evaluation"
MASK = "dialogue_gpt.test_the_mask_is_causal"
LATER = "dialogue_gpt.test_later_tokens_change_no_earlier_logits"
EARLIER = "dialogue_gpt.test_every_earlier_token_counts"
TRIANGULAR = "dialogue_gpt.test_alphas_are_lower_triangular"
EMBEDDINGS = "dialogue_gpt.test_token_plus_position_embeddings"
POSITIONS = "dialogue_gpt.test_positions_matter"
ATTENDS = "dialogue_gpt.test_alphas_are_attention_weights"
