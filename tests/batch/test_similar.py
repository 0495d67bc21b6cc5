import json
import random
from pathlib import Path

import nbformat
import pytest

from grader.assignment import load_assignment
from grader.batch.similar import similar_in_class
from grader.batch.store import Manifest, Member
from grader.batch.submissions import find_submissions
from grader.errors import UsageError
from grader.insight.similar_code import Cell
from tests.insight.independent_class import independent_class
from tests.insight.rewrites import REWRITES


def notebook(sources: dict[str, str], extra: str = "") -> str:
    cells = [nbformat.v4.new_code_cell(source) for source in (*sources.values(), extra)]
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells))


def hand_in(folder: Path, submissions: dict[str, dict[str, str]]) -> None:
    for name, sources in submissions.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "homework3.ipynb").write_text(notebook(sources), encoding="utf-8")


def class_in(folder: Path, source: Path) -> Manifest:
    """The folder of a class as a batch leaves it, as far as its list goes."""
    folder.mkdir()
    assignment = load_assignment()
    entries = find_submissions([source], folder / "extracted", assignment.template).entries
    members = tuple(Member.of(entry) for entry in entries)
    keys = {entry.identity: entry.key for entry in entries}
    manifest = Manifest(context="c", seed="public", members=members, keys=keys, sources=(str(source),))
    (folder / "batch.json").write_text(json.dumps(manifest.model_dump(mode="json")), encoding="utf-8")
    return manifest


@pytest.fixture(scope="module")
def submissions():
    klass = dict(
        zip(
            ("ada", "bob", "cyd", "dan", "eve"),
            independent_class(5, seed=70, corpus=False).values(),
            strict=True,
        )
    )
    rng = random.Random(1)
    klass["fay"] = {part: REWRITES["rename"](source, rng) for part, source in klass["bob"].items()}
    return klass


def names(pairs) -> list[tuple[str, str, str]]:
    return [(pair.first, pair.second, pair.source) for pair in pairs]


def test_a_class_is_read_where_it_was_graded_from(tmp_path, submissions):
    hand_in(tmp_path / "in", submissions)
    manifest = class_in(tmp_path / "class", tmp_path / "in")
    found = similar_in_class(tmp_path / "class", manifest)
    assert names(found.pairs) == [("bob", "fay", "")]
    assert set(found.cells) == {"bob", "fay"}
    assert found.notes == ()
    match = found.pairs[0].parts[0].matches[0]
    cell: Cell = found.cells["bob"][match.first.cell]
    assert cell.source.split("\n")[match.first.first - 1].strip()


def test_who_is_gone_or_changed_is_named(tmp_path, submissions):
    hand_in(tmp_path / "in", submissions)
    manifest = class_in(tmp_path / "class", tmp_path / "in")
    (tmp_path / "in" / "ada" / "homework3.ipynb").unlink()
    hand_in(tmp_path / "in", {"bob": submissions["eve"]})
    found = similar_in_class(tmp_path / "class", manifest)
    assert not found.pairs
    assert found.notes == (
        "not compared, as the notebooks are not where they were graded from: ada, bob; "
        "run `grader batch` again from where they are now",
    )


def test_a_class_without_its_sources_has_a_note_for_all(tmp_path, submissions):
    hand_in(tmp_path / "in", submissions)
    manifest = class_in(tmp_path / "class", tmp_path / "in")
    (tmp_path / "in").rename(tmp_path / "elsewhere")
    found = similar_in_class(tmp_path / "class", manifest)
    assert not found.pairs
    assert "ada, bob, cyd, dan, eve and 1 more" in found.notes[0]


def test_against_last_year_and_public_solutions(tmp_path, submissions):
    now = {name: submissions[name] for name in ("ada", "cyd", "dan", "eve")}
    hand_in(tmp_path / "in", now)
    manifest = class_in(tmp_path / "class", tmp_path / "in")
    hand_in(tmp_path / "old_in", {"zoe": submissions["ada"], "bob": submissions["bob"]})
    class_in(tmp_path / "last year", tmp_path / "old_in")
    hand_in(tmp_path / "export", {"yan": submissions["cyd"]})
    (tmp_path / "public" / "deep").mkdir(parents=True)
    (tmp_path / "public" / "deep" / "hw3.py").write_text(
        "\n\n".join(submissions["dan"].values()), encoding="utf-8"
    )
    (tmp_path / "public" / "broken.py").write_text("def :", encoding="utf-8")
    against = [tmp_path / "last year", tmp_path / "export", tmp_path / "public"]
    found = similar_in_class(tmp_path / "class", manifest, against)
    assert set(names(found.pairs)) == {
        ("ada", "last year/zoe", "last year"), ("cyd", "export/yan", "export"), ("dan", "public/deep/hw3.py", "public"),
    }  # fmt: skip
    assert "public/deep/hw3.py" in found.cells


def test_against_what_is_not_there(tmp_path, submissions):
    hand_in(tmp_path / "in", submissions)
    manifest = class_in(tmp_path / "class", tmp_path / "in")
    with pytest.raises(UsageError, match="there is no such folder or file"):
        similar_in_class(tmp_path / "class", manifest, [tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="contains no submission"):
        similar_in_class(tmp_path / "class", manifest, [tmp_path / "empty"])
