"""A class whose answers stand in the template's cells, as students write them: what the page of groups proposes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("reportlab")

from grader.review.classroom import read_class
from grader.review.groups import Groups
from tests.review.large import LargeClass, make_large_class


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> LargeClass:
    return make_large_class(tmp_path_factory.mktemp("large"), 20, pdfs=False)


def test_blank_and_identical_answers_are_found_with_and_without_the_cell_of_the_template(made: LargeClass) -> None:
    klass = read_class(made.folder)
    blanks = framed = 0
    for item, answers in made.answers.items():
        if item == "3d":
            continue
        groups = Groups().of(klass, item)
        together = {
            kind: [{member.answer.submission for member in group.members} for group in groups if group.kind == kind]
            for kind in ("blank", "identical")
        }
        blank = {key for key, one in answers.items() if one.change in ("empty", "untouched")}
        if len(blank) > 1:
            assert together["blank"] == [blank], item
            blanks += 1
        for key, one in answers.items():
            family = (other for other, two in answers.items() if two.origin == one.origin)
            same = {other for other in family if answers[other].change in ("original", "duplicate")}
            if one.change == "duplicate" and len(same) > 1:
                assert any(same <= members for members in together["identical"]), (item, key)
                framed += any("Answer." in answers[other].text for other in same)
    assert blanks >= 2 and framed >= 5


def test_a_class_keeps_no_image_in_memory(made: LargeClass) -> None:
    klass = read_class(made.folder)
    evidence = [piece for by_key in klass.answers.values() for answer in by_key.values() for piece in answer.evidence]
    evidence += [piece for result in klass.graded.results.values() for item in result.items for piece in item.evidence]
    images = [piece for piece in evidence if piece.data]
    assert len(images) == 2 * 2 * 20
    assert all(len(piece.data or "") < 100 for piece in images)


def test_the_same_arguments_make_the_same_class(made: LargeClass, tmp_path: Path) -> None:
    again = make_large_class(tmp_path, 20, pdfs=False)
    assert again.answers == made.answers and [one.name for one in again.people] == [one.name for one in made.people]
    assert len({one.name for one in made.people}) == 20
    with pytest.raises(ValueError, match="at most"):
        make_large_class(tmp_path / "more", 2000, pdfs=False)
