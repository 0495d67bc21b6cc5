"""Names of this part's properties that others leave a fault to."""

from __future__ import annotations

SHAPES = "transformer.test_shapes"
IN_SEQUENCE = "transformer.test_blocks_in_sequence_and_nothing_else"
SAME_IN_MODES = "transformer.test_same_in_training_and_evaluation"
CHANGE_NOTHING = "transformer.test_alphas_change_nothing"
INDEPENDENT = "transformer.test_sequences_are_independent"
MASKED = ("transformer.test_the_mask_reaches_each_block", "transformer_whole.test_the_mask_rules_each_layer")
