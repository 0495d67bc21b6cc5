import ast
import os
import subprocess
import sys
import textwrap
import time

import pytest

from grader.insight.similar_code import Cell, PartMatch, similar_pairs
from tests.insight.independent_class import independent_class
from tests.insight.measure_similar import measure, plant
from tests.insight.rewrites import REWRITES

HEAD = """
class Mixer(nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        self.gates = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.decay = nn.Parameter(torch.full((width,), 0.37))

    def forward(self, x, mask):
        kept = []
        for gate in self.gates:
            y = torch.sigmoid(gate(x)) * torch.cumsum(x, dim=1).clamp(min=-3)
            kept.append(y.roll(2, 1) - self.decay.exp())
        mixed = torch.stack(kept, dim=-1).amax(-1)
        if mask is not None:
            mixed = mixed.masked_fill(mask < 0.25, 1.5)
        return mixed.flip(1) / (1 + mixed.norm(dim=-1, keepdim=True))
"""
COPY = '''
def squash(z, m):
    """Mine."""
    if m is None:
        return z
    return z.masked_fill(m < 0.25, 1.5)

class Mixer(nn.Module):
    def forward(self, x, mask):
        print(f"{x.shape}")
        res = torch.stack(
            [torch.sigmoid(g(x)) * torch.cumsum(x, dim=1).clamp(min=-3) for g in self.lots], dim=-1
        )  # todo
        unused = res.mean() + 3
        return x

    def __init__(self, width, depth):
        super().__init__()
        self.lots = nn.ModuleList()
        for i in range(depth):
            self.lots.append(nn.Linear(width, width))
'''


def cell(source: str) -> Cell:
    return Cell(source, ast.parse(source))


def pairs_of(*sources: str, **options):
    return similar_pairs(
        {f"s{n}": [cell(source)] for n, source in enumerate(sources)}, {"Mixer": "1a"}, **options
    )


def others(count: int) -> list[list[Cell]]:
    """People who write something else."""
    return [
        [cell(f"class Mixer(nn.Module):\n    def forward(self, x, mask):\n        return x.op{n}({n})")]
        for n in range(count)
    ]


def test_disguised_copies_are_found_and_nobody_else():
    """Each disguise by itself, and several at once."""
    several = [
        ("rename", "reorder", "extracted helper"),
        ("loop to comprehension", "dead code", "rename"),
        tuple(REWRITES),
    ]
    disguises = [(name,) for name in REWRITES] + several
    counts, false = measure(plant(independent_class(24, seed=40), disguises, seed=41))
    assert {disguise: one.found for disguise, one in counts.items()} == dict.fromkeys(disguises, 1)
    assert all(one.changed for one in counts.values())
    assert false == []


def test_what_students_get_counts_nothing():
    assert pairs_of(HEAD, HEAD, background=others(40))
    assert not pairs_of(HEAD, HEAD, background=others(40), given=[cell(HEAD)])


def test_what_everybody_writes_counts_little():
    assert pairs_of(HEAD, HEAD, background=others(40))
    assert not pairs_of(*[HEAD] * 12, background=[[cell(HEAD)]] * 60)


def test_statements_are_matched_through_a_disguise():
    (pair,) = pairs_of(
        HEAD, HEAD.replace("kept", "z").replace("gate ", "g ").replace("gate(", "g("), background=others(40)
    )
    (part,) = pair.parts
    assert (pair.first, pair.second, pair.score, part.part) == ("s0", "s1", 1.0, "1a")
    assert part.alike == part.statements[0] == part.statements[1]
    assert not part.identical
    for match in part.matches:
        assert match.first == match.second
        assert match.common_in_class == 0
    assert {(match.first.first, match.first.last) for match in part.matches} >= {(5, 5), (11, 11), (16, 16)}


def test_a_statement_in_a_helper_or_a_comprehension_has_its_counterpart():
    source = HEAD + "\n"
    helper = source.replace(
        "        if mask is not None:\n            mixed = mixed.masked_fill(mask < 0.25, 1.5)\n",
        "        mixed = fill(mixed, mask)\n",
    )
    helper += "\ndef fill(values, where):\n    if where is None:\n        return values\n"
    helper += "    return values.masked_fill(where < 0.25, 1.5)\n"
    (pair,) = pairs_of(source, helper, background=others(40))
    lines = {match.first.first: match.second.first for match in pair.parts[0].matches}
    assert lines[15] == 21, "masked_fill stands in the helper now"


def test_alike_where_little_is_the_same_is_no_pair():
    assert not pairs_of(HEAD, COPY, background=others(40))


def test_identical_code_is_told_from_alike_code():
    (pair,) = pairs_of(HEAD, HEAD.replace("= []", "=  []   # a list"), background=others(40))
    assert pair.parts[0].identical


def test_others_are_compared_with_the_class_alone():
    against = {"last year": {"last year/ada": [cell(HEAD)], "last year/bob": [cell(HEAD)]}}
    pairs = pairs_of(HEAD, "class Mixer(nn.Module):\n    pass", background=others(40), against=against)
    assert [(pair.first, pair.second, pair.source) for pair in pairs] == [
        ("s0", "last year/ada", "last year"), ("s0", "last year/bob", "last year"),
    ]  # fmt: skip


def test_the_number_of_others_is_told():
    pairs = pairs_of(HEAD, HEAD, HEAD, background=others(40))
    assert len(pairs) == 3
    assert all(pair.parts[0].common_in_class == 1 for pair in pairs)
    assert pairs[0].parts[0].wording == "alike in 9 of 9 statements; 1 other in the class writes this part so"


def test_wording_accuses_nobody():
    part = PartMatch("2a", 7, (9, 8), 3, 0.8, False, ())
    assert part.wording == "alike in 7 of 8 statements; 3 others in the class write this part so"


STRANGE = {
    "arguments": """
        class Mixer:
            def forward(self, *a, b=1, **c):
                global q
                q = yield b
                del q
                async def f(): await b
                return f(*a, **c)""",
    "statements": """
        def Mixer(x):
            match x:
                case [a, *b]: return a
                case _: raise ValueError
            try:
                x += 1
            except OSError: pass
            else: x = 2
            finally: x.append(3)
            while x: x -= 1
            else: return x""",
    "targets": """
        def Mixer(f):
            f[0][1].a.b = 3
            f.x, (f.y, *z) = z[::2]
            with f as f.q, open(f): f += [1, *z]
            return Mixer(Mixer(f))""",
    "itself": """
        class Mixer(Mixer):
            x = y = 1
            forward = lambda self, x: self.forward(self.forward)
            def __call__(self): return self() + self.__call__() + self.x""",
    "numbers": f"def Mixer(x): return {10**400}, 1e999, 2j, b'a', ..., 'é' * 3, 0x{'f' * 5000}",
    "deep": f"def Mixer(x): return {'-' * 150}x",
    "many calls": "class Mixer:\n"
    + "".join(f"    def m{n}(self, x): return self.m{n + 1}(x) + self.m{n + 1}(x)\n" for n in range(60)),
    "many branches": "def Mixer(x):\n"
    + "".join(f"    if x{n}:\n        y{n} = x{n - 1}\n" for n in range(3000))
    + "    return x",
    "one statement often": "class Mixer:\n    def __init__(self, a):\n"
    + "".join(f"        self.x{n} = a.b(a.c)\n" for n in range(3000)),
}


@pytest.mark.parametrize("name", STRANGE)
def test_any_code_is_read(name):
    source = textwrap.dedent(STRANGE[name]).strip()
    started = time.process_time()
    similar_pairs({"a": [cell(source)], "b": [cell(source)], "c": [cell(HEAD)]}, {"Mixer": "1a"})
    assert time.process_time() - started < 8


def test_fingerprints_are_the_same_in_each_process():
    code = (
        "import ast; from grader.insight.program import Known, nodes_of;"
        f"print([node.signatures for node in nodes_of([ast.parse({HEAD!r})], Known({{'Mixer': '1a'}}))])"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        for seed in "12"
    ]
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout) > 1000


@pytest.mark.long
def test_a_class_of_300_has_no_false_pair_and_its_copies_are_found():
    independent = independent_class(300, seed=60)
    counts, false = measure(plant(independent, [(name,) for name in REWRITES] * 3, seed=61))
    assert len(false) <= 1
    found, planted = sum(one.found for one in counts.values()), sum(one.planted for one in counts.values())
    assert found >= 0.95 * planted
    assert planted == 30
