"""Explains a counterexample: runs it once more, and keeps what a report shows of it. No verdict depends on this."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from grader.judging.budget import Budget, Spent
from grader.judging.expect import StoodBack, Violation
from grader.judging.failures import NOTHING, Explanation
from grader.judging.pictures import SHOWN_ENTRIES, matrices
from grader.judging.property import Property
from grader.judging.snippet import as_comments, snippet, written
from grader.judging.transcript import Found, Transcript
from grader.judging.trial import Trial
from grader.kernel.remote import Connection, NoReply, StudentError
from grader.kernel.wire import Array
from grader.scoring.pictures import Picture
from grader.text.safe_text import one_line

MOST_REMARK = 200
MOST_BY_HAND = 120
"""Numbers, of all inputs and weights, with which a person still redoes a computation."""


def explain(
    prop: Property, connection: Connection, number: int, case: Any, seed: int, budget: Budget, remarks: Sequence[str] = ()
) -> Explanation:
    """Run a case that fails once more as trial ``number``, and make pictures and a snippet of it.

    Gives nothing where it does not fail again, or where no picture can be made.
    """
    try:
        return _explain(prop, connection, number, case, seed, budget, remarks)
    except (Exception, Spent):
        # Whatever goes wrong here, the verdict stands, and its text says what it is about.
        return NOTHING


def _explain(
    prop: Property, connection: Connection, number: int, case: Any, seed: int, budget: Budget, remarks: Sequence[str]
) -> Explanation:
    transcript, names = Transcript(), _tensors_of(case)
    trial = Trial(number, prop, case, seed, budget)
    try:
        while not trial.is_over:
            row = trial.row
            transcript.ask(trial.recording, row[2])
            (answer,) = connection.run([row], stop=True)
            transcript.answer(answer)
            trial.tell(answer)
    except Violation as error:
        drawn = error.draw() if error.draw is not None else None
        sources = [transcript.source_of(value) for value in error.values]
        found = list(dict.fromkeys(each for each in sources if each)) or transcript.asked(error.round)
        remark = one_line(error.message, MOST_REMARK)
        if error.code:
            code = written([*error.code, *as_comments([remark])])
        else:
            code = snippet(transcript, found, names, _ways(transcript, found, trial, connection), [remark, *remarks])
        used = _inputs(transcript, found, names, error.index) if drawn is not None else None
        return Explanation(tuple(picture for picture in (drawn, used) if picture is not None), code)
    except StudentError as error:
        remark = one_line(f"raises {error}", MOST_REMARK)
        return Explanation(snippet=snippet(transcript, [], names, {}, [remark, *remarks]))
    except StoodBack:
        pass
    return NOTHING


def _tensors_of(case: Any) -> Mapping[str, Array]:
    """The tensors of a case by the names of its fields."""
    fields = vars(case) if hasattr(case, "__dict__") else {}
    return {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}


def _inputs(
    transcript: Transcript, found: Sequence[Found], names: Mapping[str, Array], index: Sequence[int]
) -> Picture | None:
    """The inputs and weights that some values were made of, where they are small enough to redo the computation by hand."""
    tensors: dict[str, Array] = {}
    weights: dict[str, Array] = {}
    for operation in transcript.needed_for([each.slot for each in found]) or ():
        for array in _arrays(operation.arguments):
            name = next((name for name, known in names.items() if np.array_equal(known, array)), None)
            if name is not None:
                tensors[name] = array
        if operation.name == "load":
            weights |= {name: value for name, value in operation.arguments[1].items() if isinstance(value, np.ndarray)}
    tensors |= weights
    sizes = [array.size for array in tensors.values()]
    if max(sizes, default=0) > SHOWN_ENTRIES or sum(sizes) > MOST_BY_HAND:
        return None
    panels = []
    for scale, (name, array) in enumerate(tensors.items()):
        # Of a batch, the sequence that the wrong entry belongs to.
        row = index[0] if array.ndim == 3 and index and index[0] < len(array) else 0
        panels.append((name, array, scale) if array.ndim != 3 else (f"{name}[{row}]", array[row], scale))
    return matrices(panels, caption="What it is computed from.", is_plain=True) if panels else None


def _arrays(value: Any) -> Iterator[Array]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _arrays(item)


def _ways(
    transcript: Transcript, found: Sequence[Found], trial: Trial, connection: Connection
) -> dict[int, int]:
    """In which of several ways each of the calls works that made some values, by slot."""
    chosen: dict[int, int] = {}
    for operation in transcript.needed_for([each.slot for each in found]) or ():
        if operation.name != "call_any":
            continue
        target, ways = operation.arguments
        for place, way in enumerate(ways):
            by_keyword = way[-1] if isinstance(way[-1], dict) else {}
            target(*way[: len(way) - bool(by_keyword)], **by_keyword)
            with contextlib.suppress(NoReply):
                (answer,) = connection.run([(trial.number, trial.recording, ())], stop=True)
                if not isinstance(answer, StudentError):
                    chosen[operation.slot] = place
                    break
    return chosen
