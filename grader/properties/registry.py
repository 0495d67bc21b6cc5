"""Every property there is, by name. A new part of the homework is a module here and a line below."""

from __future__ import annotations

from grader.properties import (
    attention_head,
    dialogue_gpt,
    dialogue_loss,
    multi_headed_attention,
    patch_embed,
    tokenizer,
    transformer,
)
from grader.properties.law import Law, laws_of

MODULES = (
    attention_head,
    multi_headed_attention,
    transformer,
    patch_embed,
    tokenizer,
    dialogue_gpt,
    dialogue_loss,
)
LAWS: dict[str, Law] = {law.name: law for module in MODULES for law in laws_of(module)}
