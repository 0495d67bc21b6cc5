"""The table of fingerprints: what is judged again, what is kept, and entries that are made of submissions."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import nbformat
import pytest

from grader.assignment import load_assignment
from grader.audit import adding, corpus, fingerprints
from grader.audit.corpus import Case
from grader.audit.run import Found
from grader.authoring.digests import code_digest, part_digest, properties_digest, stale_parts
from grader.errors import UsageError
from grader.grade import Judged
from grader.homework import VARIABLE, Homework, load_homework
from grader.homework3 import HOMEWORK
from grader.insight.diagnosis import Diagnoser
from grader.insight.fingerprints import Fingerprints, load_fingerprints, to_json
from grader.scoring.compose import Facts, Findings, compose_result
from grader.scoring.result import Versions
from grader.scoring.score import Verdict

FOLDER = Path(__file__).resolve().parent.parent / "second_homework"
WRONG = """
import torch
from torch import nn

def start_of(xs, n):  # Ada Lovelace wrote this
    return xs.new_ones(xs.shape[0], n)

class RNN(nn.Module):
    "My RNN."
    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__()
        self.n_hidden, self.cell = n_hidden, RNNCell(n_in, n_hidden)

    def forward(self, xs):
        h, states = start_of(xs, self.n_hidden), []
        for x in xs.unbind(1):
            h = self.cell(x, h)
            states.append(h)
        return torch.stack(states, dim=1)
"""


@pytest.fixture
def homework(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Homework:
    """A copy of the second homework, which the environment names."""
    folder = tmp_path / "layers"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv(VARIABLE, str(folder))
    return load_homework(folder)


def criteria() -> list[str]:
    return [criterion.id for item in load_assignment().rubric.automatic for criterion in item.criteria]


def properties_of(criterion: str) -> tuple[str, ...]:
    rubric = load_assignment().rubric
    return next(each.properties for item in rubric.automatic for each in item.criteria if each.id == criterion)


def pretend(case: Case) -> Found:
    """The verdicts that a case must get by the corpus."""
    names = [properties_of(criterion)[0] for criterion in case.entry.loses]
    return Found({name: Verdict(name, "failed", f"{case.entry.id} is 3") for name in names}, (), ())


@pytest.fixture
def update(homework: Homework) -> Callable[[], list[str]]:
    """Updates the table in the homework's folder, and gives the names of what was judged."""

    def run() -> list[str]:
        def save(table: Fingerprints) -> None:
            homework.fingerprints.write_text(to_json(table), encoding="utf-8")

        table, those = load_fingerprints(homework.fingerprints), fingerprints.wanted(homework, criteria())
        return [case.name for case in fingerprints.update(table, those, homework, save, pretend)]

    return run


def test_what_has_not_changed_is_not_judged_again(homework: Homework, update: Callable[[], list[str]]) -> None:
    first = update()
    table = load_fingerprints(homework.fingerprints)
    assert len(first) == len(table.faults) > 5 and update() == []
    assert stale_parts(table.sources, homework) == []
    fault = next(each for each in table.faults if each.name == "1b/backward")
    assert fault.causes == ("The sequence is read from its end.",)
    assert set(fault.symptoms) == {properties_of("1b.order")[0]}


def test_a_changed_entry_is_stale_and_judged_again_alone(homework: Homework, update: Callable[[], list[str]]) -> None:
    update()
    path = homework.corpus / "1b.yaml"
    path.write_text(path.read_text("utf-8").replace("xs.flip(1).unbind(1)", "xs.flip([1]).unbind(1)"), "utf-8")
    assert stale_parts(load_fingerprints(homework.fingerprints).sources, homework) == ["1b"]
    assert update() == ["1b/backward"]
    assert stale_parts(load_fingerprints(homework.fingerprints).sources, homework) == []


def test_other_words_are_taken_without_judging(homework: Homework, update: Callable[[], list[str]]) -> None:
    update()
    path = homework.corpus / "1b.yaml"
    text = path.read_text("utf-8").replace("entries:", "causes:\n  order: The order is wrong.\nentries:", 1)
    path.write_text(text.replace("kind: mutant", "kind: mutant\n    causes: [order]", 1), "utf-8")
    assert update() == []
    fault = next(each for each in load_fingerprints(homework.fingerprints).faults if each.name == "1b/backward")
    assert fault.causes == ("The order is wrong.",) and fault.title == "The sequence is read from its end."


def test_an_update_that_was_stopped_goes_on(homework: Homework, monkeypatch: pytest.MonkeyPatch) -> None:
    those, monkeyed = fingerprints.wanted(homework, criteria()), []
    monkeypatch.setattr(fingerprints, "_SAVE_EVERY", 1)
    running: Iterator[Case] = fingerprints.update(Fingerprints(), those, homework, monkeyed.append, pretend)
    next(running), next(running), next(running)
    assert len(monkeyed[-1].faults) >= 2
    left = fingerprints.outdated(monkeyed[-1], those.all, homework)
    assert len(left) == len(those.all) - len(monkeyed[-1].faults)


def test_some_of_all_parts_are_judged_again(homework: Homework) -> None:
    those = fingerprints.wanted(homework, criteria())
    found = list(fingerprints.judged_again(those, 4, homework, pretend))
    assert len(found) == 4 and len({case.part for case, _ in found}) > 1
    assert all(fault.symptoms and fault.causes == case.causes for case, fault in found)


def test_the_digest_of_properties_follows_what_they_import(homework: Homework) -> None:
    before = {part: properties_digest(homework, part) for part in ("1a", "2a")}
    cases = homework.folder / "cases.py"
    cases.write_text(cases.read_text("utf-8") + "\n# A comment changes nothing.\n", "utf-8")
    assert {part: properties_digest(homework, part) for part in before} == before
    rnn_cell = homework.folder / "rnn_cell.py"
    rnn_cell.write_text(rnn_cell.read_text("utf-8") + "\nMORE = 1\n", "utf-8")
    assert properties_digest(homework, "1a") != before["1a"] and properties_digest(homework, "2a") == before["2a"]
    assert part_digest(homework, "1a") != before["1a"]


def test_the_shipped_table_is_of_the_corpus_and_the_properties_as_they_are() -> None:
    table = load_fingerprints(HOMEWORK.fingerprints)
    assert stale_parts(table.sources, HOMEWORK) == [], "run `grader audit fingerprints`"


def test_code_is_told_apart_by_what_it_does() -> None:
    assert code_digest(["x = 1  # one", "y = 2"]) == code_digest(["x = 1", "y  =  2"])
    assert code_digest(["x = 1"]) != code_digest(["x = 2"]) != code_digest(["x = "])


def test_causes_must_be_among_those_of_the_file(homework: Homework) -> None:
    path = homework.corpus / "1b.yaml"
    path.write_text(path.read_text("utf-8").replace("kind: mutant", "kind: mutant\n    causes: [nothing-such]", 1), "utf-8")
    with pytest.raises(UsageError, match=r"1b\.yaml:6: nothing-such is not among the file's causes"):
        corpus.load(path, criteria())


def test_a_named_mutant_needs_causes_of_its_part(homework: Homework) -> None:
    text = "mutants:\n- {part: 1b, id: m12345678, change: a -> b, causes: [nothing-such]}\n"
    homework.named_mutants.write_text(text, "utf-8")
    with pytest.raises(UsageError, match=r"named_mutants\.yaml: 1b/m12345678: nothing-such is not among"):
        fingerprints.wanted(homework, criteria())
    homework.named_mutants.write_text(text.replace("[nothing-such]", "[]"), "utf-8")
    assert fingerprints.wanted(homework, criteria()).trials == ()  # the reference makes no such mutant


# -- entries of submissions ----------------------------------------------------------------------------------------------


def notebook(folder: Path, code: str) -> Path:
    path = folder / "ada.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), path)
    return path


def judging(*failed: str) -> Callable[[Path, Collection[str]], Judged]:
    def judge(path: Path, properties: Collection[str]) -> Judged:
        verdicts = {name: Verdict(name, "failed" if name in failed else "passed", "h is 1") for name in properties}
        versions = Versions(grader="1", rubric="1", python="3")
        return Judged(compose_result(load_assignment().rubric, Facts("x", versions), Findings(verdicts)), verdicts)

    return judge


def test_a_submission_becomes_an_entry_that_is_named_from_then_on(
    homework: Homework, update: Callable[[], list[str]], tmp_path: Path
) -> None:
    update()
    failing = properties_of("1b.order")[1]
    added = adding.add(notebook(tmp_path, WRONG), "1b", "The state begins at one.", homework, judging=judging(failing))
    assert (added.case.name, added.loses) == ("1b/the-state-begins-at-one", ("1b.order",))
    text = added.path.read_text("utf-8")
    assert "def start_of" in text and "Ada Lovelace" not in text and "My RNN" not in text
    assert corpus.load(added.path, criteria())[-1].entry.loses == ("1b.order",)
    table = load_fingerprints(homework.fingerprints)
    assert stale_parts(table.sources, homework) == [] and update() == []
    added_fault = next(fault for fault in table.faults if fault.name == added.case.name)
    first = Diagnoser(table).diagnose("1b", added_fault.symptoms).first
    assert first is not None and first.causes == ("The state begins at one.",)


def test_a_second_entry_of_one_cause_gets_an_id_of_its_own(homework: Homework, tmp_path: Path) -> None:
    place, judge = notebook(tmp_path, WRONG), judging(properties_of("1b.order")[0])
    names = [adding.add(place, "1b", "It begins at one.", homework, judging=judge).case.entry.id for _ in range(2)]
    assert names == ["it-begins-at-one", "it-begins-at-one-2"]
    with pytest.raises(UsageError, match="choose another --id"):
        adding.add(place, "1b", "x", homework, "it-begins-at-one", judging=judge)


@pytest.mark.parametrize(
    ("code", "item", "failing", "reason"),
    [
        ("x = 1", "1b", True, "has no class RNN"),
        (WRONG, "9z", True, "has no corpus for this item; it has 1a, 1b, 2a, 3a"),
        (WRONG, "1b", False, "loses no points by itself"),
    ],
)
def test_what_makes_no_entry_changes_nothing(
    homework: Homework, tmp_path: Path, code: str, item: str, failing: bool, reason: str
) -> None:
    before = {path.name: path.read_bytes() for path in homework.corpus.iterdir()}
    judge = judging(*properties_of("1b.order")) if failing else judging()
    with pytest.raises(UsageError, match=reason) as caught:
        adding.add(notebook(tmp_path, code), item, "x", homework, judging=judge)
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in homework.corpus.iterdir()} == before


@pytest.mark.long
def test_a_real_submission_is_judged_in_a_kernel(homework: Homework, tmp_path: Path) -> None:
    added = adding.add(notebook(tmp_path, WRONG), "1b", "The state begins at one.", homework)
    assert added.loses == ("1b.order",)
