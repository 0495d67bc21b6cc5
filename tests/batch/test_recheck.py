"""A class is judged again with other seeds: what changes is reported, and no grade depends on it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grader.assignment import Assignment
from grader.batch import rescore
from grader.batch.fairness import Fairness
from grader.batch.falls import load_falls
from grader.batch.recheck import Asked, other_seed, sampled
from grader.batch.store import Store
from grader.cli import app
from grader.grade import Judged, Request
from grader.homework3 import HOMEWORK
from grader.insight.rates import upper_bound
from grader.scoring.rubric import load_rubric
from tests.batch.conftest import Batch, MadeUp

pytestmark = pytest.mark.long
RUBRIC = load_rubric(HOMEWORK.rubric)


class Lucky(MadeUp):
    """What a text calls lucky passes with the class's seed alone: ``lucky: 2a.softmax``."""

    def __init__(self, seed: bytes) -> None:
        super().__init__()
        self.seed, self.seeds = seed, set[bytes]()

    def __call__(self, path: Path, assignment: Assignment, request: Request) -> Judged:
        self.seeds.add(assignment.seed)
        text = path.read_text(encoding="utf-8")
        if "lucky" not in text or assignment.seed != self.seed:
            return super().__call__(path, assignment, request)
        own = path.with_name(f".{path.name}")
        own.write_text(text.partition("lucky")[0], encoding="utf-8")
        return super().__call__(own, assignment, request)


@pytest.fixture
def lucky(assignment: Assignment) -> Lucky:
    return Lucky(assignment.seed)


@pytest.fixture
def lucky_class(tmp_path: Path) -> Path:
    folder = tmp_path / "class"
    folder.mkdir()
    texts = {"ada": "all right", "bob": "fails: 4d.padding lucky: 2a.softmax", "cyd": "right", "dan": "all right"}
    for name, text in texts.items():
        (folder / f"{name}.ipynb").write_text(text, encoding="utf-8")
    return folder


def changed(fairness: Fairness | None) -> set[tuple[tuple[str, ...], str, str]]:
    assert fairness is not None
    return {(each.keys, each.criterion, each.status) for each in fairness.changed}


def files(folder: Path) -> dict[str, bytes]:
    """Everything that says a grade."""
    found = [folder / "grades.csv", *(folder / "results").iterdir(), *(folder / "judged").iterdir()]
    return {path.name: path.read_bytes() for path in found}


def test_every_verdict_that_depends_on_the_seed_is_reported(
    batch: Batch, lucky_class: Path, lucky: Lucky, assignment: Assignment
) -> None:
    outcome = batch(lucky_class, judge=lucky, recheck=Asked(seeds=3, sample=None))
    assert changed(outcome.fairness) == {(("bob",), "2a.softmax", "passed")}
    fairness = outcome.fairness
    assert fairness is not None and fairness.changed[0].others == ("failed",) * 3
    assert (fairness.submissions.count, fairness.submissions.total) == (1, 3)  # ada and dan handed in the same
    assert fairness.submissions.bound == upper_bound(1, 3)
    properties = len(assignment.rubric.properties)
    of_softmax = len(fairness.changed)
    assert (fairness.verdicts.count, fairness.verdicts.total) == (3 * of_softmax, 3 * 3 * properties)
    (score,) = fairness.scores
    softmax = next(each for item in assignment.rubric.automatic for each in item.criteria if each.id == "2a.softmax")
    assert (score.keys, score.score - score.lowest, score.highest) == (("bob",), softmax.points, score.lowest)
    assert len(lucky.seeds) == 4


def test_no_grade_and_no_seed_of_the_class_changes(batch: Batch, lucky_class: Path, lucky: Lucky, tmp_path: Path) -> None:
    batch(lucky_class, judge=lucky)
    before, manifest = files(tmp_path / "out"), (tmp_path / "out" / "batch.json").read_bytes()
    batch(lucky_class, judge=lucky, recheck=Asked(seeds=2))
    assert files(tmp_path / "out") == before
    assert (tmp_path / "out" / "batch.json").read_bytes() == manifest
    # Another seed for the class is refused as before.
    assert json.loads(manifest)["settings"]["seed_kind"] == "public"


def test_what_is_known_is_not_judged_again(batch: Batch, lucky_class: Path, lucky: Lucky) -> None:
    batch(lucky_class, judge=lucky, recheck=Asked(seeds=1, sample=2))
    assert len(lucky.judged) == 3 + 2
    first = batch(lucky_class, judge=lucky, recheck=Asked(seeds=1, sample=2))
    assert len(lucky.judged) == 3 + 2
    batch(lucky_class, judge=lucky, recheck=Asked(seeds=2, sample=None))
    assert len(lucky.judged) == 3 + 2 * 3
    # Without being asked for, it is still reported.
    later = batch(lucky_class, judge=lucky)
    assert first.fairness is not None and later.fairness is not None
    assert (first.fairness.submissions.total, later.fairness.submissions.total) == (2, 3)


def test_another_grader_makes_other_seeds_count_no_more(
    batch: Batch, lucky_class: Path, lucky: Lucky, assignment: Assignment
) -> None:
    batch(lucky_class, judge=lucky, recheck=Asked(seeds=1))
    slower = replace(assignment, shrink_calls=assignment.shrink_calls + 1)
    assert batch(lucky_class, judge=lucky, by=slower, change=("timeout",)).fairness is None


def test_what_the_grader_fails_at_counts_nowhere(batch: Batch, tmp_path: Path, assignment: Assignment) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    for name in ("ada", "bob"):
        (folder / f"{name}.ipynb").write_text(name, encoding="utf-8")

    def judge(path: Path, by: Assignment, request: Request) -> Judged:
        if by.seed != assignment.seed and path.stem == "bob":
            raise RuntimeError("the grader is at fault")
        return MadeUp()(path, by, request)

    outcome = batch(folder, judge=judge, recheck=Asked(seeds=1))
    assert outcome.fairness is not None
    assert (outcome.fairness.submissions.count, outcome.fairness.submissions.total) == (0, 1)
    assert [line for line in outcome.lost if "bob" in line and "at fault" in line]


def test_a_file_and_the_terminal_say_what_changed(batch: Batch, lucky_class: Path, lucky: Lucky, tmp_path: Path) -> None:
    from grader.batch.terminal import fairness_lines

    outcome = batch(lucky_class, judge=lucky, recheck=Asked(seeds=2, sample=None))
    bound = upper_bound(1, 3)
    text = (tmp_path / "out" / "recheck.md").read_text(encoding="utf-8").replace("\\", "")
    for shown in ("\n".join(fairness_lines(outcome.fairness)), text):
        assert f"1 of 3 submissions changed (33.33%; at most {bound:.2%} with 95% confidence)" in shown
        assert "bob" in shown and "2a.softmax" in shown
        assert "passed; with other seeds: failed twice" in shown


def test_samples_are_random_stable_and_grow(assignment: Assignment) -> None:
    contents = [f"{i:064x}" for i in range(300)]
    small, large = (sampled(contents, assignment.seed, size) for size in (30, 60))
    assert large[:30] == small == sampled(reversed(contents), assignment.seed, 30)
    assert small != sorted(small) and small != sampled(contents, b"another seed of the class", 30)
    assert sorted(sampled(contents, assignment.seed, None)) == contents
    assert len({other_seed(assignment.seed, number) for number in range(100)}) == 100


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--recheck-sample", "5"], "--recheck-sample: needs --recheck K"),
        (["--recheck", "2", "--recheck-sample", "some"], "takes all, or a number from 1"),
        (["--recheck", "2", "--recheck-sample", "0"], "takes all, or a number from 1"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options: list[str], reason: str, tmp_path: Path) -> None:
    given = CliRunner().invoke(app, ["batch", str(tmp_path), "--out", str(tmp_path / "out"), *options])
    assert given.exit_code == 2
    assert reason in " ".join(given.output.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


# -- grades that fell ------------------------------------------------------------------------------------------------


def falls(folder: Path) -> list[tuple[str, str, float, float]]:
    with Store(folder, create=False) as store:
        return [(fall.key, fall.criterion or fall.item, fall.before, fall.after) for fall in load_falls(store)]


def test_a_grade_that_another_grader_takes_away_is_listed_with_the_property(
    batch: Batch, lucky_class: Path, lucky: Lucky, assignment: Assignment, tmp_path: Path
) -> None:
    batch(lucky_class, judge=lucky)
    other = replace(assignment, seed=b"another seed of this class")
    outcome = batch(lucky_class, judge=lucky, by=other, change=("seed",))
    (fall,) = outcome.fell
    softmax = next(each for item in assignment.rubric.automatic for each in item.criteria if each.id == "2a.softmax")
    assert (fall.key, fall.criterion, fall.before, fall.after) == ("bob", "2a.softmax", softmax.points, 0)
    assert fall.verdict.startswith(f"{softmax.properties[0]} was passed and is failed")
    assert fall.cause.startswith("another seed (public, now secret ")
    # It stays listed in later runs, until it is given back.
    batch(lucky_class, judge=lucky, by=other)
    assert falls(tmp_path / "out") == [("bob", "2a.softmax", softmax.points, 0)]
    batch(lucky_class, judge=lucky, change=("seed",))
    assert falls(tmp_path / "out") == []


def test_another_notebook_is_named_as_the_cause(batch: Batch, lucky_class: Path, lucky: Lucky) -> None:
    batch(lucky_class, judge=lucky)
    criterion = RUBRIC.automatic[1].criteria[0].id
    (lucky_class / "ada.ipynb").write_text(f"fails: {criterion}", encoding="utf-8")
    (fall,) = batch(lucky_class, judge=lucky).fell
    assert (fall.key, fall.criterion, fall.cause) == ("ada", criterion, "another notebook was handed in")


def test_a_rubric_that_gives_less_is_named(batch: Batch, lucky_class: Path, lucky: Lucky, tmp_path: Path) -> None:
    text = HOMEWORK.rubric.read_text(encoding="utf-8")
    item = next(item for item in RUBRIC.automatic if len(item.criteria) > 1)
    first, second = item.criteria[:2]
    (lucky_class / "cyd.ipynb").write_text(f"fails: {second.id}", encoding="utf-8")
    batch(lucky_class, judge=lucky)
    written = tmp_path / "rubric.yaml"
    written.write_text(_moved(text, first.id, first.points, second.id, second.points), encoding="utf-8")
    with Store(tmp_path / "out", create=False) as store:
        rescore.prepare(store, written).write()
        # Whoever has all points of the item lost none.
        (fall,) = load_falls(store)
        assert (fall.key, fall.criterion, fall.before - fall.after) == ("cyd", first.id, 0.25)
        assert "worth" in fall.verdict and "another rubric" in fall.cause
        rescore.prepare(store, HOMEWORK.rubric).write()
        assert load_falls(store) == ()


def test_what_is_pending_did_not_fall(batch: Batch, lucky_class: Path, lucky: Lucky, assignment: Assignment) -> None:
    batch(lucky_class, judge=lucky)
    (lucky_class / "cyd.ipynb").write_text("no kernel", encoding="utf-8")
    outcome = batch(lucky_class, judge=lucky)
    assert outcome.results["cyd"].error is not None
    assert outcome.fell == ()


def _moved(text: str, one: str, worth: float, other: str, its: float) -> str:
    """The rubric with a quarter of a point moved from one criterion to another."""
    for name, before, after in ((one, worth, worth - 0.25), (other, its, its + 0.25)):
        start = text.index(f"id: {name}\n")
        place = text.index("points:", start)
        end = text.index("\n", place)
        assert float(text[place + 7 : end].split(",", maxsplit=1)[0]) == before
        text = f"{text[:place]}points: {after:g}{text[end:]}"
    return text
