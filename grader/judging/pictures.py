"""Makes pictures of counterexamples from what a property compared.

A check gives a `Violation` a function that makes its picture, as most violations are never shown: they shrink, or another
property is to blame. Of what was expected, a picture shows no more than the text beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from grader.kernel.wire import Array
from grader.scoring.pictures import (
    MOST_ENTRIES,
    MOST_PANELS,
    MOST_TOKENS,
    Grid,
    Matrices,
    Matrix,
    Number,
    Picture,
    Sequences,
    Tiles,
    Tokens,
)

Draw = Callable[[], Picture | None]
SHOWN_ENTRIES = 48
"""A tensor of at most so many entries is shown as a whole."""


def comparison(
    got: Array, want: Array, name: str, index: Sequence[int], *, titles: tuple[str, str] = ("your", "expected")
) -> Matrices | None:
    """What came out beside what was expected, and their difference, with the entry at ``index`` marked.

    Only the first where the tensor is too large to be shown as a whole; None for a scalar.
    """
    caption = "The outlined entry is the worst one."
    if want.size > SHOWN_ENTRIES or got.shape != want.shape:
        return matrices([(f"{titles[0]} {name}", got, 0)], index, caption=caption)
    with np.errstate(all="ignore"):
        gap = got - want
    panels = [(f"{titles[0]} {name}", got, 0), (f"{titles[1]} {name}", want, 0), ("difference", gap, 1)]
    return matrices(panels, index, caption=caption)


def masked(got: Array, where: Array, name: str, index: Sequence[int]) -> Matrices | None:
    """What came out, with the entries hatched that have to be 0, and the one at ``index`` marked."""
    caption = "Hatched entries must be 0. The outlined one is the worst."
    return matrices([(f"your {name}", got, 0)], index, hatched=where, caption=caption)


def matrices(
    panels: Iterable[tuple[str, Array, int]],
    index: Sequence[int] | None = None,
    *,
    hatched: Array | None = None,
    caption: str = "",
    is_plain: bool = False,
) -> Matrices | None:
    """Tensors by title, each with the number of its color scale, as far as they have axes: the last two of each.

    ``index`` is of the entry that is wrong, or without its last number of a row that is, which is marked wherever a tensor
    has it. It also names the matrix to show of a tensor with more axes. Large matrices are cut to a window around it.
    Plain ones have no colors.
    """
    made = [_matrix(title, array, scale, index, hatched) for title, array, scale in panels if array.ndim]
    made = [each for each in made if each.rows and each.rows[0]]
    return Matrices(caption=caption, panels=tuple(made[:MOST_PANELS]), is_plain=is_plain) if made else None


def _matrix(title: str, array: Array, scale: int, index: Sequence[int] | None, hatched: Array | None) -> Matrix:
    whole = array if array.ndim > 1 else array[None]
    place = tuple(int(each) for each in index) if index is not None else ()
    is_row = len(place) == array.ndim - 1 > 0
    if len(place) != array.ndim and not is_row:
        place = ()
    at = (0,) * (whole.ndim - array.ndim) + (place or (0,) * array.ndim) + (0,) * (is_row and bool(place))
    leading, (row, column) = at[:-2], at[-2:]
    shown = np.asarray(whole[leading])
    rows, columns = (_window(size, middle) for size, middle in zip(shown.shape, (row, column), strict=True))
    hidden: list[tuple[int, int]] = []
    if hatched is not None and hatched.shape == array.shape:
        part = np.asarray(hatched.reshape(whole.shape)[leading])[rows, columns]
        hidden = [(int(i), int(j)) for i, j in np.argwhere(part)]
    return Matrix(
        title=f"{title}{list(leading)}" if leading else title,
        rows=tuple(tuple(number(value) for value in line) for line in shown[rows, columns]),
        first=(rows.start, columns.start),
        whole=(shown.shape[0], shown.shape[1]),
        marks=tuple(
            (row - rows.start, each - columns.start)
            for each in (range(columns.start, columns.stop) if is_row else [column] if place else [])
        ),
        hatched=tuple(hidden),
        scale=scale,
    )


def _window(size: int, middle: int) -> slice:
    """The entries around one of an axis."""
    start = max(0, min(int(middle) - MOST_ENTRIES // 2, size - MOST_ENTRIES))
    return slice(start, min(size, start + MOST_ENTRIES))


def number(value: float) -> Number:
    """A number of a picture: four significant digits."""
    if np.isnan(value):
        return "nan"
    # The largest floats are infinite once they are rounded.
    rounded = float(f"{float(value):.4g}")
    if np.isinf(rounded):
        return "inf" if rounded > 0 else "-inf"
    return rounded


def grid(panels: Iterable[Tiles], *, marked: str = "", outlined: str = "", caption: str = "") -> Grid | None:
    """Grids side by side; None if one has more rows or columns than are shown."""
    made = tuple(panels)[:MOST_PANELS]
    fits = all(max(each.size) <= MOST_ENTRIES for each in made)
    return Grid(caption=caption, panels=made, marked=marked, outlined=outlined) if made and fits else None


def sequences(rows: Mapping[str, Sequence[object]], mark: int | None = None, caption: str = "") -> Sequences | None:
    """Sequences by title, aligned, with a position marked; long ones are cut to a window around it."""
    longest = max((len(tokens) for tokens in rows.values()), default=0)
    if not longest:
        return None
    start = max(0, min((mark or 0) - MOST_TOKENS // 2, longest - MOST_TOKENS))
    made = (
        Tokens(title=title, tokens=tuple(str(token) for token in tokens[start : start + MOST_TOKENS]))
        for title, tokens in rows.items()
    )
    return Sequences(caption=caption, rows=tuple(made)[:MOST_PANELS], first=start, mark=mark)
