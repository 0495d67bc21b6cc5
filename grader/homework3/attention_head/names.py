"""Names of this part's properties that others leave a fault to."""

from __future__ import annotations

SHAPES = "attention_head.test_shapes"
INDEPENDENT = "attention_head.test_sequences_are_independent"
MODES = "attention_head.test_same_in_training_and_evaluation"
ROWS = "attention_head.test_rows_of_alpha_are_distributions"
SOFTMAX = "attention_head.test_alpha_is_the_softmax_of_scaled_scores"
DEPENDS = "attention_head.test_alpha_depends_on_the_input"
NO_WEIGHT = "attention_head.test_masked_tokens_get_no_weight"
PERMITTED = "attention_head.test_permitted_tokens_share_the_whole_weight"
INFLUENCE = "attention_head.test_masked_tokens_have_no_influence"
NO_MASK = "attention_head.test_no_mask_is_a_mask_of_ones"
OUTPUT = "attention_head.test_output_is_the_weighted_sum_of_values"
MASKED_OUTPUT = "attention_head.test_masked_output_is_the_weighted_sum_of_values"
LEARNING = "attention_head.test_every_weight_gets_a_gradient"
REGISTERED = "attention_head.test_all_that_is_learned_is_registered"
