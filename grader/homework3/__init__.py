"""Homework 3: attention and a Transformer, a Vision Transformer on CIFAR-10, a GPT on Shakespeare."""

from __future__ import annotations

from pathlib import Path

from grader import assets
from grader.homework import CheckPackage, Homework
from grader.homework3 import (
    attention_head,
    dialogue_gpt,
    dialogue_loss,
    identify,
    multi_headed_attention,
    oracles,
    patch_embed,
    shakespeare,
    tokenizer,
    transformer,
)
from grader.homework3.attention_head import weights
from grader.homework3.formulas import FORMULAS
from grader.homework3.patch_embed import cutting
from grader.homework3.training.check import ImageTraining
from grader.tokenizer_data import word_tokenize

HOMEWORK = Homework(
    name="homework3",
    folder=assets.ROOT,
    package=Path(__file__).resolve().parent,
    outline="homework3.py",
    modules=(
        *attention_head.MODULES,
        *multi_headed_attention.MODULES,
        *transformer.MODULES,
        *patch_embed.MODULES,
        tokenizer,
        *dialogue_gpt.MODULES,
        dialogue_loss,
    ),
    provided_classes=frozenset({"FFN", "AttentionResidual", "VisionTransformer", "DialogueDataset"}),
    provided_methods=(("DialogueGPT", "generate"),),
    training=ImageTraining(),
    text_calls=frozenset({"generate", "decode"}),
    files={"input.txt": shakespeare.PATH},
    formulas=FORMULAS,
    warm_up=lambda: word_tokenize(""),
    check_package=CheckPackage(
        "hw3-check",
        data=(assets.DATA / "nltk", shakespeare.PATH),
        submit="To submit: run all cells from the top, save the notebook, and upload this .ipynb file to Gradescope.",
        oracles=(oracles, identify, cutting, weights),
    ),
)
