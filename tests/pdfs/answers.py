"""What generated students answer: paragraphs with references to other items, lists, formulas, figures, code."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from grader.homework3 import HOMEWORK
from grader.scoring.rubric import AutomaticItem, load_rubric
from grader.submission.reading import Submission, read_submission

RUBRIC = load_rubric(HOMEWORK.rubric)
ITEMS = [item.id for item in RUBRIC.items]
WRITTEN = [item.id for item in RUBRIC.items if not isinstance(item, AutomaticItem)]
TITLES = {item.id: item.title for item in RUBRIC.items}
PROBLEMS = {
    "1": "RNNs and Transformers",
    "2": "a Transformer",
    "3": "a Vision Transformer",
    "4": "DialogueGPT",
}

Kind = Literal["text", "formula", "list", "figure", "code", "lines"]


@dataclass(frozen=True)
class Block:
    """A part of an answer. A list's text has a line for each entry."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Answer:
    """What a student wrote for some items, which may be several at once."""

    labels: tuple[str, ...]
    blocks: tuple[Block, ...]


_SENTENCES = (
    "The recurrence multiplies by the same matrix once for each step, so its power grows with the length of the sequence",
    "Each token attends to all tokens before it, and the cost therefore grows with the square of their number",
    "We see that the gradient vanishes where the largest singular value of W is below one",
    "A cache keeps keys and values of earlier tokens, so that a step has to compute those of the new one alone",
    "Training sees the whole sequence at once, while generation needs a forward pass for each token",
    "Sinusoids are defined for every position, also for one that was never seen in training",
    "A convolution looks at neighbors only, which helps with small datasets and hurts little with large ones",
    "The class token attends to edges and to parts of the object, less to plain background",
    "After the first epoch the model repeats frequent words; later it writes short phrases that are grammatical",
    "With 2 layers and 4 heads the loss fell below 1.5 after 10 epochs, and below 1e-3 on ten dialogues",
    "In 2D and 3D inputs the neighbors of a patch are not those next to it in the sequence",
    "I trained a model with dim 128 for 20 minutes and got 56.3 % on the validation set",
    "Nucleus sampling draws from the smallest set of tokens whose probabilities add up to p",
    "The two differ in how much they have to remember, which is constant for one and grows for the other",
)
_REFERENCES = (
    "As in {i}, we insert the recurrence into itself",
    "This follows from Problem {n}({l}) and the definition of the output",
    "See also the answer to question {i} above, where the same power appears",
    "By part ({l}) of Problem {n} the same holds for every input",
    "It is the same argument as for {n} ({l}), with one more factor",
    "Compare this with {n}.{l}, where the sum has only two terms",
    "We reuse the result of {i} here and the bound of part {l}",
)
_FORMULAS = (
    "h_2 = W_h W_x x_1 + W_x x_2,   y_2 = f(W_y h_2)",
    "h_T = sum_t W_h^(T-t) W_x x_t     (3)",
    "alpha_ij = exp(q_i k_j / sqrt(d)) / sum_k exp(q_i k_k / sqrt(d))",
    "y_T = f(W_y (W_h^2 W_x x_1 + W_h W_x x_2 + W_x x_3))",
)
_LISTS = (
    "{m1} For the RNN the cost is O(T), as there are T steps.\n{m2} For attention it is O(T^2), as there are T^2 pairs.\n"
    "{m3} The Transformer is faster on parallel hardware, as no token waits for another.",
    "{m1} A CNN needs fewer images.\n{m2} A ViT scales better with data, which matters for large sets of images.",
)
_CODE = (
    "def forward(self, x, attn_mask):\n    scores = self.q(x) @ self.k(x).transpose(1, 2)\n"
    "    return scores.softmax(-1) @ self.v(x)",
    "for epoch in range(10):\n    loss = train(model, loader)\n    print(epoch, loss)\n# 1a: see above\nx = 4e-3",
)
_OUTPUT = "1 2.4531 0.11\n2 1.9921 0.27\n3 1.7312 0.38\n4 1.5512 0.44\n5 1.4420 0.50"


def template() -> Submission:
    """The notebook that students get."""
    return read_submission(HOMEWORK.template)


def template_cells() -> list[dict[str, object]]:
    """Its cells, as JSON has them."""
    cells: list[dict[str, object]] = json.loads(Path(HOMEWORK.template).read_text(encoding="utf-8"))["cells"]
    return cells


def paragraph(dice: random.Random, own: str, sentences: int) -> str:
    """Sentences, some of which refer to another item, so that lines begin in the middle of a reference."""
    said = []
    for _ in range(sentences):
        sentence = dice.choice(_SENTENCES)
        if dice.random() < 0.35:
            other = dice.choice([item for item in WRITTEN if item != own])
            sentence = dice.choice(_REFERENCES).format(i=other, n=other[0], l=other[1])
        said.append(sentence)
    return ". ".join(said) + ("." if dice.random() < 0.9 else "")


def answer(dice: random.Random, labels: tuple[str, ...], longest: int = 12) -> Answer:
    """A random answer."""
    blocks = []
    for _ in range(dice.choice([1, 1, 2, 3])):
        blocks.append(Block("text", paragraph(dice, labels[0], dice.randint(1, longest))))
        kind = dice.random()
        if kind < 0.3:
            blocks.append(Block("formula", dice.choice(_FORMULAS)))
        elif kind < 0.45:
            marks = dice.choice(
                [
                    ("1.", "2.", "3."),
                    ("(a)", "(b)", "(c)"),
                    ("a)", "b)", "c)"),
                    ("(i)", "(ii)", "(iii)"),
                    ("-", "-", "-"),
                ]
            )
            listed = dice.choice(_LISTS).format(m1=marks[0], m2=marks[1], m3=marks[2])
            blocks.append(Block("list", listed))
        elif kind < 0.55:
            blocks.append(Block("figure", str(dice.randint(60, 300))))
        elif kind < 0.62:
            blocks.append(Block("code", dice.choice(_CODE)))
        elif kind < 0.68:
            blocks.append(Block("lines", _OUTPUT))
    if dice.random() < 0.1:
        blocks.reverse()
    return Answer(labels, tuple(blocks))


def answers(dice: random.Random, longest: int = 12, *, skip: float = 0.08) -> list[Answer]:
    """Answers to the written items, some of which were left out."""
    kept = [item for item in WRITTEN if dice.random() >= skip] or [WRITTEN[0]]
    return [answer(dice, (item,), longest) for item in kept]
