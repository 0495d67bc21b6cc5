"""Where a payload goes in a notebook: before its cells, after them, into the classes, or into the file itself."""

from __future__ import annotations

import copy
import json
import textwrap
from collections.abc import Callable
from typing import Any

from tests.hostile.generator.kinds import CHECKOUT, Notebook


def code_cell(source: str) -> dict[str, Any]:
    """A code cell; ``<checkout>`` in its source becomes the grader's own folder."""
    return {
        "cell_type": "code",
        "id": "hostile",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": textwrap.dedent(source).strip().replace("<checkout>", CHECKOUT),
    }


def as_bytes(notebook: Any) -> bytes:
    return json.dumps(notebook).encode()


def in_front(source: str) -> Callable[[Notebook], bytes]:
    """The base with a cell in front."""

    def make(base: Notebook) -> bytes:
        made = copy.deepcopy(base)
        made["cells"].insert(0, code_cell(source))
        return as_bytes(made)

    return make


def behind(source: str) -> Callable[[Notebook], bytes]:
    """The base with a cell behind."""

    def make(base: Notebook) -> bytes:
        made = copy.deepcopy(base)
        made["cells"].append(code_cell(source))
        return as_bytes(made)

    return make


# Replaces the call of every class that students write by the payload ``answer(original, self, args, kwargs)``.
WRAP = """
import torch, os, sys
NAMES = ["AttentionHead", "MultiHeadedAttention", "Transformer", "PatchEmbed", "DialogueGPT", "DialogueLoss"]
def wrapped(cls):
    original = cls.forward
    def forward(self, *args, **kwargs):
        return answer(original, self, args, kwargs)
    cls.forward = forward
for name in NAMES:
    if name in globals():
        wrapped(globals()[name])
def run(original, self, args, kwargs):
    try:
        return original(self, *args, **kwargs)
    except Exception:
        return None
def mapped(change, value):
    if isinstance(value, torch.Tensor):
        return change(value)
    return tuple(mapped(change, part) for part in value) if isinstance(value, tuple) else value
"""


def in_forward(source: str) -> Callable[[Notebook], bytes]:
    """The base with the students' forward methods wrapped by ``answer``."""
    return behind(WRAP + textwrap.dedent(source))


def changing_results(source: str) -> Callable[[Notebook], bytes]:
    """The base with each tensor that a forward returns replaced by ``change`` of it."""
    return in_forward(
        textwrap.dedent(source)
        + "\ndef answer(original, self, args, kwargs):\n    return mapped(change, run(original, self, args, kwargs))\n"
    )


# What a cell finds is printed, raised, and put into a counterexample: all of it may reach a result.
_TELL = """
FOUND = []
def look(path):
    try:
        data = open(path, "rb").read(65536)
        FOUND.append(data.decode("utf-8", "replace"))
    except Exception:
        pass
def tell():
    text = "\\n".join(text for text in FOUND if "planted" in text or "seed" in text or "oracle" in text)[:3000]
    print(text)
    globals()["LEAK"] = text
    raise RuntimeError(text)
"""


def leaking(source: str) -> Callable[[Notebook], bytes]:
    """Look for secrets, then print and raise them in a cell and again in a forward."""

    def make(base: Notebook) -> bytes:
        made = copy.deepcopy(base)
        made["cells"].insert(0, code_cell(_TELL + textwrap.dedent(source) + "\ntell()\n"))
        made["cells"].append(
            code_cell(
                "if 'PatchEmbed' in globals():\n    def forward(self, *args, **kwargs):\n"
                "        raise RuntimeError(globals().get('LEAK', 'nothing'))\n    PatchEmbed.forward = forward\n"
            )
        )
        return as_bytes(made)

    return make


def changed_file(change: Callable[[Notebook], Any]) -> Callable[[Notebook], bytes]:
    """The base as ``change`` leaves it, or the bytes or notebook that it returns."""

    def make(base: Notebook) -> bytes:
        made = copy.deepcopy(base)
        changed = change(made)
        return changed if isinstance(changed, bytes) else as_bytes(made if changed is None else changed)

    return make


def with_fields(**fields: Any) -> Callable[[Notebook], bytes]:
    """The base with other fields at its top."""
    return changed_file(lambda made: made.update(fields))


def in_each_cell(change: Callable[[dict[str, Any]], Any]) -> Callable[[Notebook], bytes]:
    """The base with each cell changed in place."""

    def every(made: Notebook) -> None:
        for cell in made["cells"]:
            change(cell)

    return changed_file(every)


# Speaks the wire's format over every inherited or later socket it can find.
WIRE = r"""
import json, os, socket, stat, struct, threading, time
def sockets():
    for fd in range(3, 200):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                yield fd
        except OSError:
            pass
def frame(header, buffers=()):
    text = json.dumps([header, [len(b) for b in buffers]]).encode()
    return struct.pack("<4sIIQ", b"hw3\x01", len(text), len(buffers), sum(map(len, buffers))) + text + b"".join(buffers)
def say(data):
    for fd in sockets():
        try:
            os.write(fd, data)
        except OSError:
            pass
"""
