"""Makes the folder of a graded class: verdicts as a class of 300 with abilities would have them, without running any code.

As a module it writes one: ``python -m tests.batch.made_class FOLDER 300``.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from grader.batch.falls import NAME as FALLS
from grader.batch.falls import Fall
from grader.batch.rechecks import Recheck, keep_recheck
from grader.batch.store import Manifest, Member, Record, Store, StoredVerdict
from grader.homework3 import HOMEWORK
from grader.insight.causes import Cause, Example
from grader.insight.similar_code import Cell, Lines, MatchedSpan, Pair, PartMatch
from grader.scoring.compose import Facts, Findings, compose_result
from grader.scoring.facts import versions
from grader.scoring.pictures import Matrices, Matrix
from grader.scoring.result import Cell as CellResult
from grader.scoring.result import Evidence, Excerpt, Flag, Isolation
from grader.scoring.rubric import Rubric, load_rubric
from grader.scoring.verdict import Verdict

CONTEXT = "0123456789abcdef"
HOSTILE = '</td></script><script>document.title="owned"</script><img src=x onerror=alert(1)>{{ 7*7 }}\u202e\x1b[31m"\'`'
AT_RANDOM, REVERSED = "2b.mask", "4d.padding"
"""Criteria that are answered at random, and graded the wrong way round."""
NAMES = ("ada", "bob", "cyd", "dan", "eva", "fay", "gus", "hal", "ivy", "jon", "kim", "leo", "mia", "ned", "ola", "pat")
MESSAGE = "alpha[0, 2, 2] is 0.4387, expected 0.4069; the mask is applied after the softmax"
COUNTEREXAMPLE = "x = [[1, 0], [0, 1], [1, 1]]\nmask = [[1, 1, 0], [1, 1, 1], [1, 1, 1]]\n" + (
    "alpha = [[0.50, 0.50, 0.00], [0.33, 0.33, 0.34]]"
)
SNIPPET = "import torch\n\nhead = AttentionHead(4, 4)\nx = torch.eye(4)[None]\nprint(head(x, None))"


def made_class(folder: Path, students: int = 300, *, hostile: bool = False, seed: int = 0) -> Store:
    """A class in a folder that must not exist yet; ``hostile`` puts markup into every text that a student has a hand in."""
    random = np.random.default_rng(seed)
    rubric = load_rubric(HOMEWORK.rubric)
    difficulty = {c.id: random.normal(-0.7, 1) for item in rubric.automatic for c in item.criteria}
    members = [_member(i, hostile) for i in range(students)]
    with Store(folder) as store:
        store.put("rubric.yaml", HOMEWORK.rubric.read_text(encoding="utf-8"))
        for i, member in enumerate(members):
            if not member.digest or store.load(member.digest, CONTEXT) is not None:
                continue
            verdicts = _verdicts(random, rubric, difficulty, HOSTILE if hostile else "")
            record = _record(i, member, verdicts, rubric, random, HOSTILE if hostile else "")
            (folder / "judged" / f"{member.digest}-{CONTEXT}.json").write_text(record.model_dump_json(), encoding="utf-8")
            if i < 30:
                _recheck(store, i, record)
        store.put(FALLS, _falls(hostile))
        manifest = Manifest(context=CONTEXT, seed="secret", members=tuple(members), strange=(HOSTILE,) if hostile else ())
        store.write_manifest(manifest)
    return Store(folder, create=False)


def _member(i: int, hostile: bool) -> Member:
    key = f"{NAMES[i % len(NAMES)]}-{i:03}"
    content = hashlib.sha256(str(17 if i == 18 else i).encode()).hexdigest()
    problem = "homework.ipynb: not a notebook" if i % 60 == 39 else None
    return Member(
        key=key,
        name=HOSTILE if hostile else key.title(),
        id=str(1000 + i),
        file=f"{HOSTILE if hostile else key}.ipynb"[:200],
        digest="" if problem else content,
        problem=problem,
        notes=(HOSTILE,) if hostile else (),
        identity=key,
    )


def _verdicts(
    random: np.random.Generator, rubric: Rubric, difficulty: Mapping[str, float], text: str
) -> dict[str, Verdict]:
    ability = random.normal()
    lots = random.random(len(difficulty))
    found = {}
    of = {name: c.id for item in rubric.automatic for c in item.criteria for name in c.properties}
    places = {name: n for n, name in enumerate(difficulty)}
    for name, criterion in of.items():
        right = 1 / (1 + np.exp(-1.7 * (ability - difficulty[criterion])))
        right = 0.5 if criterion == AT_RANDOM else 1 - right if criterion == REVERSED else right
        passed = lots[places[criterion]] < right
        note = "nondeterministic: this failed once and did not fail again for the same input and random seed. "
        message = (note if random.random() < 0.004 else "") + (text or MESSAGE)
        found[name] = (
            Verdict(name, "passed", title="A row of alpha sums to 1.")
            if passed
            else Verdict(
                name,
                "failed",
                message,
                text or COUNTEREXAMPLE,
                title=text or "A row of alpha sums to 1.",
                pictures=(_picture(random, text),),
                snippet=SNIPPET,
            )
        )
    return found


def _picture(random: np.random.Generator, text: str) -> Matrices:
    """Attention matrices, the kind of picture that a counterexample has most often."""
    panels = [
        Matrix(title=text or title, rows=tuple(map(tuple, random.random((5, 5)).tolist())), whole=(5, 5), marks=((0, 2),))
        for title in ("your alpha", "expected", "difference")
    ]
    return Matrices(caption=text or "The entry that is marked differs most.", panels=tuple(panels))


def _record(
    i: int, member: Member, verdicts: Mapping[str, Verdict], rubric: Rubric, random: np.random.Generator, text: str
) -> Record:
    cells = [CellResult(number=n, decision="run", status="ok", seconds=0.1) for n in range(1, 30)]
    flags = [Flag(kind="not from scratch?", message=text or "uses torch.nn.MultiheadAttention", cell=4)] if i % 23 == 5 else []
    answer = Evidence(kind="written_answer", title="Answer", text=text or "Because. " * 40)
    manual = {item.id: [answer] for item in rubric.by_hand}
    facts = Facts(
        member.file,
        versions(rubric),
        warnings=(text,) if text else (),
        flags=tuple(flags),
        cells=tuple(cells),
        code=tuple(
            Excerpt(cell=n, first=1, text=text or SOURCE, items=(item.id,)) for n, item in enumerate(rubric.automatic, 7)
        ),
        isolation=(Isolation(layer="landlock", active=i % 50 != 9, note=text or "this kernel has no Landlock"),),
        seed="secret",
        seconds={"read": 0.1, "cells": float(random.gamma(3, 1.2)), "judge": float(random.gamma(4, 1.5))},
    )
    result = compose_result(rubric, facts, Findings(verdicts, evidence=manual))
    stored = {name: StoredVerdict.of(verdict) for name, verdict in verdicts.items()}
    return Record(content=member.digest, context=CONTEXT, verdicts=stored, result=result)


def _recheck(store: Store, i: int, record: Record) -> None:
    assert record.verdicts is not None
    for number in (1, 2, 3):
        verdicts = dict(record.verdicts)
        if i == 4 and number < 3:
            name = sorted(verdicts)[0]
            other = "passed" if verdicts[name].status == "failed" else "failed"
            verdicts[name] = verdicts[name].model_copy(update={"status": other, "message": MESSAGE})
        keep_recheck(store, Recheck(content=record.content, context=CONTEXT, number=number, verdicts=verdicts))


def _falls(hostile: bool) -> str:
    fall = Fall(
        key=_member(2, hostile).key,
        item="2a",
        criterion="2a.mask",
        before=1,
        after=0,
        verdict=HOSTILE if hostile else f"attention_head.masks.test_mask was passed and is failed: {MESSAGE}",
        cause="another grader (0.9 1234, now 1.0 5678)",
        date="2026-03-01",
    )
    return f'{{"falls": [{fall.model_dump_json()}]}}\n'


# -- what is found of a class beside its grades -------------------------------------------------------------------------

SOURCE = '''class AttentionHead(nn.Module):
    def __init__(self, dim, n_hidden):
        super().__init__()
        self.W_K = nn.Linear(dim, n_hidden)
        self.W_Q = nn.Linear(dim, n_hidden)
        self.W_V = nn.Linear(dim, n_hidden)
        self.n_hidden = n_hidden

    def forward(self, x, attn_mask):
        K, Q, V = self.W_K(x), self.W_Q(x), self.W_V(x)  # NOTE
        scores = Q @ K.transpose(1, 2) / self.n_hidden**0.5
        if attn_mask is not None:
            scores = scores.masked_fill(attn_mask == 0, -1e9)
        alpha = scores.softmax(-1)
        return alpha @ V, alpha
'''


def cause(text: str, students: int, points: float, *, is_known: bool = True) -> Cause:
    """A cause that cost each of so many students as many points."""
    keys = [_member(i, False).key for i in range(students)]
    example = Example(keys[0], "A masked weight is 0.", text, COUNTEREXAMPLE)
    key = hashlib.sha256(text.encode()).hexdigest()[:12]
    losses = {each: {"2a.mask": points} for each in keys}
    others = ("the mask is transposed",) if is_known else ()
    hint = "masks after the softmax"
    return Cause(key, text, "2a", ("2a.mask",), losses, example, is_known, 0.9 if is_known else 0.0, others, hint)


def pair(note: str = "own idea") -> tuple[Pair, dict[str, tuple[Cell, ...]]]:
    """Two submissions that are alike in one part, with their code."""
    first, second = _member(3, False).key, _member(4, False).key
    sources = [SOURCE.replace("NOTE", note), "import torch\n\n" + SOURCE.replace("NOTE", note).replace("scores", "logits")]
    cells = {
        key: (Cell(source, ast.parse(source), 7),) for key, source in zip((first, second), sources, strict=True)
    }
    matches = tuple(
        MatchedSpan(Lines(0, a, b), Lines(0, a + 2, b + 2), common) for a, b, common in ((3, 7, 40), (10, 11, 0), (12, 13, 1))
    )
    part = PartMatch("2a", 3, (5, 5), 0, 0.83, False, matches)
    return Pair(first, second, 0.83, (part,)), cells


if __name__ == "__main__":
    made_class(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 300)
