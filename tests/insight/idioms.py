"""Right solutions of Homework 3 as independent people write them: each decision is made by chance, common habits more often.

``idioms.yaml`` is a grammar of what students write in the regions of each class; an `Author` writes by it.
"""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_CHOICE = re.compile("⟦([^⟦⟧]*)⟧")
_NAME = re.compile(r"\{\{(\w+)\}\}")


@cache
def _grammar() -> dict[str, Any]:
    return yaml.safe_load(Path(__file__).with_name("idioms.yaml").read_text(encoding="utf-8"))


class Author:
    """Somebody who writes on their own: their names and habits are drawn once."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.names: dict[str, str] = {}

    def regions(self, class_name: str) -> list[str]:
        """What they write in each region of a class."""
        texts = [self._settled(text) for text in _grammar()["regions"][class_name]]
        texts = _consistent(texts)
        taken: set[str] = set()
        names: dict[str, str] = {}
        for key in dict.fromkeys(key for text in texts for key in _NAME.findall(text)):
            free = [name for name in _grammar()["names"].get(key, [key]) if name not in taken]
            names[key] = self._chosen(free) if free else f"{key}_{len(taken)}"
            taken.add(names[key])
        return [_NAME.sub(lambda found: names[found[1]], text) for text in texts]

    def _settled(self, text: str) -> str:
        while found := _CHOICE.search(text):
            text = text[: found.start()] + self._chosen(found[1].split("‖")) + text[found.end() :]
        return "\n".join(line for line in text.splitlines() if line.strip())

    def _chosen(self, options: list[str]) -> str:
        return self.rng.choices(options, [1 / place for place in range(1, len(options) + 1)])[0]


def _consistent(texts: list[str]) -> list[str]:
    """Marks after ``#`` and ``!`` say what one choice means for another."""
    whole = "\n\0".join(texts)
    if "#first" in whole:
        whole = re.sub(r"\[self\.tok_to_id\[self\.start\]\] \+ ", "", whole.replace("#first", ""))
        whole = whole.replace("= [self.tok_to_id[self.start]]", "= []")
        whole = re.sub(r"\n.*insert\(0.*", "", whole)
    if "#param" in whole:
        whole = whole.replace("#param", "").replace("pos_emb.unsqueeze(0)", "pos_emb")
        whole = re.sub(r"self\.\{\{pE\}\}\((?:[^()]|\([^()]*\))*\)", "self.{{pE}}[:, :{{T}}]", whole)
    whole = whole.replace("torch.STACK", "torch.cat" if "unsqueeze(1)!" in whole else "torch.stack").replace(
        "!)", ")"
    )
    return whole.split("\n\0")
