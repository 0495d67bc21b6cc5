"""The mechanical sweep: what is made, how a mutant's fate is told, and what a person has reviewed."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from grader.audit import mechanical
from grader.audit.mechanical import Mutant, Outcome, mutants, outcome, sample
from grader.audit.run import Verdict
from grader.cli import app
from grader.errors import UsageError
from grader.scoring.rubric import load_rubric

pytestmark = pytest.mark.long

AUTOMATIC = load_rubric().automatic
CRITERIA = [criterion.id for item in AUTOMATIC for criterion in item.criteria]


def verdict(*lost: str, errors: Sequence[str] = ()) -> Verdict:
    return Verdict("x", tuple((name, "because") for name in lost), tuple(errors), (), 1.0)


def test_every_region_of_every_part_is_mutated() -> None:
    found = list(mechanical.targets())
    assert [target.part for target in found] == [item.id for item in AUTOMATIC]
    for target in found:
        made = mutants(target.part)
        assert len(made) >= 50
        for lines in target.regions:
            changed = {mutant.mutation.line for mutant in made if mutant.mutation.line in lines}
            assert changed, f"{target.class_name}: nothing changes in lines {lines}"


def test_names_are_unique_and_the_same_each_time() -> None:
    names = [mutant.name for mutant in mutants()]
    assert len(set(names)) == len(names) > 500
    mechanical._mutants.cache_clear()
    assert [mutant.name for mutant in mutants()] == names


def test_a_sample_is_spread_and_always_the_same() -> None:
    made = mutants("2a")
    few, more = sample(made, 20), sample(made, 40)
    assert len(few) == 20
    assert {mutant.name for mutant in few} <= {mutant.name for mutant in more}
    assert [mutant.mutation.line for mutant in few] == sorted(mutant.mutation.line for mutant in few)
    assert len({mutant.mutation.line for mutant in few}) >= 4


def test_a_mutant_takes_the_place_of_the_reference() -> None:
    mutant = mutants("2c")[0]
    cells = "\n".join(mutant.case(CRITERIA).cells)
    assert mutant.mutation.source in cells
    assert cells.count("class Transformer(") == 1


@pytest.mark.parametrize(
    ("found", "reviewed", "expected"),
    [
        (verdict("2a.mask"), False, "caught"),
        (verdict("2a.mask", "2b.mask"), False, "elsewhere"),
        (verdict(), False, "survivor"),
        (verdict(), True, "equivalent"),
        (verdict(errors=["cell 3: NameError"]), False, "broken"),
        (verdict("2a.mask", errors=["cell 3: NameError"]), False, "caught"),
    ],
)
def test_outcomes(found: Verdict, reviewed: bool, expected: Outcome) -> None:
    mutant = mutants("2a")[0]
    assert outcome(mutant, found, {mutant.name} if reviewed else set()) == expected


def swept() -> list[tuple[Mutant, Verdict, Outcome]]:
    first, second, third = mutants("2a")[:3]
    return [
        (first, verdict(), "survivor"),
        (second, verdict("2b.mask"), "elsewhere"),
        (third, verdict("2a.mask"), "caught"),
    ]


def test_the_table_names_survivors_and_what_is_lost_elsewhere() -> None:
    out = io.StringIO()
    mechanical.print_sweep(swept(), Console(file=out, width=200))
    text = out.getvalue()
    survivor, elsewhere, caught = (mutant.name for mutant in mutants("2a")[:3])
    assert survivor in text
    assert elsewhere in text
    assert "2b.mask" in text
    assert caught not in text


def test_json_holds_every_mutant_with_its_code() -> None:
    rows = json.loads(mechanical.to_json(swept()))
    assert [row["outcome"] for row in rows] == ["survivor", "elsewhere", "caught"]
    assert rows[0]["source"] == mutants("2a")[0].mutation.source
    assert rows[1]["lost"] == {"2b.mask": "because"}


def test_survivors_come_with_the_commands_that_judge_them() -> None:
    out = io.StringIO()
    assert mechanical.print_what_to_do(swept(), Console(file=out, width=200))
    assert f"grader audit judge {mutants('2a')[0].name} --equivalent" in out.getvalue()
    assert not mechanical.print_what_to_do(swept()[1:], Console(file=io.StringIO()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("equivalent: [{part: 2a, id: m1, line: x, change: y, why: no}]", "why"),
        ("equivalent: [{part: 2a}]", "Field required"),
        ("nothing: []", "equivalent"),
        ("equivalent: [", "cannot be read"),
    ],
)
def test_a_review_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "equivalent.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        mechanical.load_reviewed(path)


def test_the_shipped_review_is_of_mutants_that_exist() -> None:
    assert mechanical.outdated(mechanical.load_reviewed(), mutants()) == []


def test_command_lists_without_judging() -> None:
    done = CliRunner().invoke(app, ["audit", "generate", "--list", "--part", "3a", "--limit", "3"])
    assert done.exit_code == 0
    assert done.output.count("3a/m") == 3


@pytest.mark.parametrize("way", ["--fast", "--quick"])
def test_command_judges(tmp_path: Path, way: str) -> None:
    (scaled,) = [m for m in mutants("2a") if m.mutation.after == "q @ k.transpose(1, 2) * math.sqrt(self.n_hidden)"]
    path = tmp_path / "sweep.json"
    options = [way, "--jobs", "1", "--only", scaled.mutation.id, "--json", str(path)]
    done = CliRunner().invoke(app, ["audit", "generate", *options])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(path.read_text(encoding="utf-8"))
    assert row["outcome"] == "caught"
    assert "2a.softmax" in row["lost"]


def test_what_survives_its_own_part_is_judged_by_all_and_may_be_reviewed(tmp_path: Path) -> None:
    """Rounding ids changes none of them, as the review says."""
    path = tmp_path / "sweep.json"
    options = ["--quick", "--jobs", "1", "--only", "m730fb10e", "--json", str(path)]
    done = CliRunner().invoke(app, ["audit", "generate", *options])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(path.read_text(encoding="utf-8"))
    assert (row["outcome"], row["lost"], row["errors"]) == ("equivalent", {}, [])


def test_command_refuses_what_does_not_exist() -> None:
    assert CliRunner().invoke(app, ["audit", "generate", "--only", "m00000000"]).exit_code == 2
