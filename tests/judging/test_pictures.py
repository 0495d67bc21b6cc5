"""Pictures are bounded whatever came back, and show no more of what was expected than the text does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from grader.judging import expect, pictures
from grader.report.pictures import draw
from grader.scoring.pictures import Matrices, Tiles

SHAPES = arrays.array_shapes(min_dims=1, max_dims=5, min_side=1, max_side=20).filter(lambda shape: np.prod(shape) < 4000)


def violation(check) -> expect.Violation:
    with pytest.raises(expect.Violation) as caught:
        check()
    return caught.value


def drawn(check) -> Matrices:
    picture = violation(check).draw()
    assert isinstance(picture, Matrices)
    assert "<svg" in draw(picture)
    return picture


@given(arrays.arrays(np.float64, SHAPES), st.data())
def test_any_tensor_has_a_picture_with_its_entry_marked(array, data):
    index = tuple(data.draw(st.integers(0, size - 1)) for size in array.shape)
    picture = pictures.matrices([("a", array, 0)], index)
    (panel,) = picture.panels
    ((row, column),) = panel.marks
    value = panel.rows[row][column]
    assert value == pictures.number(array[index]) or str(value) == str(pictures.number(array[index]))
    assert (row + panel.first[0], column + panel.first[1]) == (0, 0, *index)[-2:]
    draw(Matrices.model_validate_json(picture.model_dump_json()))


def test_a_comparison_shows_got_expected_and_difference():
    got, want = np.array([[[0.5, 0.5], [0.25, 0.75]]]), np.array([[[0.5, 0.5], [0.5, 0.5]]])
    picture = drawn(lambda: expect.close(got, want, "alpha", "wrong"))
    assert [panel.title for panel in picture.panels] == ["your alpha[0]", "expected alpha[0]", "difference[0]"]
    assert {panel.marks for panel in picture.panels} == {((1, 0),)}
    assert picture.panels[2].rows == ((0.0, 0.0), (-0.25, 0.25))


def test_what_is_expected_is_shown_only_where_the_text_shows_it():
    want = np.zeros((5, 7, 7))
    got = want.copy()
    got[3, 6, 2] = 1.0
    found = violation(lambda: expect.close(got, want, "alpha", "wrong"))
    assert "shape (5, 7, 7)" in found.shown["expected alpha"]
    picture = found.draw()
    assert [panel.title for panel in picture.panels] == ["your alpha[3]"]
    assert picture.panels[0].marks == ((6, 2),)


def test_large_matrices_are_cut_around_the_entry():
    got = np.zeros((40, 50))
    got[30, 49] = 2
    (panel,) = drawn(lambda: expect.close(got, np.zeros((40, 50)), "x", "wrong")).panels
    assert len(panel.rows) == len(panel.rows[0]) == 12 and panel.whole == (40, 50)
    ((row, column),) = panel.marks
    assert panel.rows[row][column] == 2 and (panel.first[0] + row, panel.first[1] + column) == (30, 49)


def test_masked_entries_are_hatched_and_the_leak_is_marked():
    got, where = np.full((1, 3, 3), 0.5), np.triu(np.ones((1, 3, 3)), 1) > 0
    got[0, 0, 2] = 0.7
    (panel,) = drawn(lambda: expect.zero(got, where, "alpha", "leaks")).panels
    assert set(panel.hatched) == {(0, 1), (0, 2), (1, 2)} and panel.marks == ((0, 2),)


def test_what_is_not_finite_is_drawn_too():
    (panel,) = drawn(lambda: expect.tensor(np.array([[1.0, np.nan]]), (1, 2), "x")).panels
    assert panel.rows == ((1.0, "nan"),) and panel.marks == ((0, 1),)


def test_a_row_is_marked_by_an_index_without_its_last_number():
    (panel,) = pictures.matrices([("a", np.zeros((2, 3, 4)), 0)], (1, 2)).panels
    assert panel.title == "a[1]" and panel.marks == tuple((2, column) for column in range(4))


def test_a_scalar_has_no_picture():
    assert violation(lambda: expect.close(np.array(1.0), np.array(2.0), "loss", "wrong")).draw is None


def test_a_grid_that_is_too_large_has_no_picture():
    assert pictures.grid([Tiles(title="a", size=(13, 2))]) is None
    assert pictures.grid([Tiles(title="a", size=(12, 12))]) is not None


@given(st.lists(st.text(), max_size=60), st.lists(st.text(), max_size=60), st.integers(0, 60))
def test_sequences_are_cut_around_the_mark(one, other, mark):
    picture = pictures.sequences({"one": one, "other": other}, mark)
    if picture is None:
        assert not one and not other
    else:
        assert picture.first <= mark or mark == 0
        assert all(len(row.tokens) <= 16 for row in picture.rows)
        draw(picture)
