from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grader.audit import corpus, mechanical, survivors
from grader.cli import app
from grader.errors import UsageError
from grader.homework import Homework, load_homework
from grader.scoring.rubric import load_rubric

SECOND = Path(__file__).resolve().parents[1] / "second_homework"
CRITERIA = [criterion.id for item in load_rubric().automatic for criterion in item.criteria]


@pytest.fixture
def homework(tmp_path: Path) -> Homework:
    """A copy whose corpus and review may be written to."""
    shutil.copytree(load_homework().corpus, tmp_path / "corpus")
    shutil.copy(load_homework().equivalent, tmp_path / "equivalent.yaml")
    return replace(load_homework(), package=tmp_path)


def fresh() -> mechanical.Mutant:
    """A mutant that nobody judged."""
    reviewed = mechanical.load_reviewed()
    return next(mutant for mutant in mechanical.mutants("2a") if mutant.name not in reviewed)


def test_an_equivalent_mutant_is_written_down_with_its_reason(homework: Homework) -> None:
    before = homework.equivalent.read_text(encoding="utf-8")
    path = survivors.keep_equivalent(fresh(), "Both ways give\nthe same numbers.", homework)
    text = path.read_text(encoding="utf-8")
    assert text.startswith(before)
    entry = mechanical.load_reviewed(path)[fresh().name]
    assert entry.why == "Both ways give the same numbers."
    assert mechanical.outdated({fresh().name: entry}, mechanical.mutants()) == []


def test_a_homework_without_a_review_gets_one(homework: Homework) -> None:
    homework.equivalent.unlink()
    survivors.keep_equivalent(fresh(), "Both ways give the same numbers.", homework)
    assert list(mechanical.load_reviewed(homework.equivalent)) == [fresh().name]


def test_a_reason_that_says_nothing_or_a_second_one_is_refused(homework: Homework) -> None:
    before = homework.equivalent.read_bytes()
    with pytest.raises(UsageError, match="at least 10 characters"):
        survivors.keep_equivalent(fresh(), "same", homework)
    assert homework.equivalent.read_bytes() == before
    survivors.keep_equivalent(fresh(), "Both ways give the same numbers.", homework)
    with pytest.raises(UsageError, match="already"):
        survivors.keep_equivalent(fresh(), "Both ways give the same numbers.", homework)


def test_a_missed_fault_becomes_an_entry_of_the_corpus(homework: Homework) -> None:
    before = len(corpus.load(homework.corpus / "2a.yaml", CRITERIA))
    case, path = survivors.keep_missed(fresh(), "The mask is upside down.", ["2a.mask"], CRITERIA, homework)
    cases = corpus.load(path, CRITERIA)
    assert len(cases) == before + 1
    assert cases[-1] == case
    assert (case.entry.id, case.entry.kind, case.entry.loses) == ("the-mask-is-upside-down", "mutant", ("2a.mask",))
    assert fresh().mutation.after in case.entry.code


def test_a_missed_fault_names_what_it_loses(homework: Homework) -> None:
    with pytest.raises(UsageError, match=r"--loses which criterion .*2a\.softmax"):
        survivors.keep_missed(fresh(), "It is wrong.", [], CRITERIA, homework)
    with pytest.raises(UsageError, match="the rubric has no such criterion"):
        survivors.keep_missed(fresh(), "It is wrong.", ["2a.nothing"], CRITERIA, homework)


def test_each_homework_has_mutants_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = mechanical.mutants()
    monkeypatch.setenv("GRADER_HOMEWORK", str(SECOND))
    others = mechanical.mutants()
    assert others
    assert not {mutant.name for mutant in others} & {mutant.name for mutant in ours}


def test_mutants_are_found_by_name_and_id() -> None:
    assert survivors.mutant_named(fresh().name) == survivors.mutant_named(fresh().mutation.id) == fresh()
    with pytest.raises(UsageError, match="no such mutant"):
        survivors.mutant_named("2a/m0")


@pytest.mark.parametrize(
    "options", [[], ["--equivalent", "a", "--missed", "b"], ["--equivalent", "the same", "--loses", "2a.mask"]]
)
def test_the_command_takes_one_judgement(options: list[str]) -> None:
    assert CliRunner().invoke(app, ["audit", "judge", fresh().name, *options]).exit_code == 2


def test_the_command_writes_it_down(homework: Homework, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grader.homework.load_homework", lambda source=None: homework)
    done = CliRunner().invoke(app, ["audit", "judge", fresh().name, "--equivalent", "Both ways give the same."])
    assert done.exit_code == 0, done.output
    assert fresh().name in done.output
    assert fresh().name in mechanical.load_reviewed(homework.equivalent)
