"""All strategies: what a trial of each part is made of. Inputs are what the homework's own code can produce.

Sizes and a seed are drawn; arrays come from numpy by that seed, with one decimal, so that a shrunk case can be read.
B batch, T tokens, H heads, L layers, V vocabulary.
"""

from grader.homework3.strategies.basic import PAD, START, UNK, numbers, seeds
from grader.homework3.strategies.dialogues import (
    GPTCase,
    dialogues,
    homework_dialogues,
    next_words,
    plain_ids,
    square_dialogues,
)
from grader.homework3.strategies.images import ImageCase, image_case, images, other_images
from grader.homework3.strategies.losses import (
    LossCase,
    long_losses,
    losses,
    losses_of_trained_models,
    losses_where_sizes_meet,
)
from grader.homework3.strategies.sequences import (
    MASKS,
    SequenceCase,
    few_directions,
    heads,
    long_sequences,
    make_mask,
    multi_heads,
    plain_inputs,
    sequences,
    square_sequences,
    transformers,
)
from grader.homework3.strategies.texts import (
    TextCase,
    WordsCase,
    any_texts,
    dense,
    glued,
    known_texts,
    letters,
    lines,
    long_texts,
    phrases,
    speeches,
    texts,
    words,
)

__all__ = [
    "MASKS",
    "PAD",
    "START",
    "UNK",
    "GPTCase",
    "ImageCase",
    "LossCase",
    "SequenceCase",
    "TextCase",
    "WordsCase",
    "any_texts",
    "dense",
    "dialogues",
    "few_directions",
    "glued",
    "heads",
    "homework_dialogues",
    "image_case",
    "images",
    "known_texts",
    "letters",
    "lines",
    "long_losses",
    "long_sequences",
    "long_texts",
    "losses",
    "losses_of_trained_models",
    "losses_where_sizes_meet",
    "make_mask",
    "multi_heads",
    "next_words",
    "numbers",
    "other_images",
    "phrases",
    "plain_ids",
    "plain_inputs",
    "seeds",
    "sequences",
    "speeches",
    "square_dialogues",
    "square_sequences",
    "texts",
    "transformers",
    "words",
]
