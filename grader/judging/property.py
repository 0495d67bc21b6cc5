"""What a property is: a hypothesis test of one class, written as a generator.

    @property_of(PART, strategies.heads(masks=("causal",)))
    def test_masked_tokens_get_no_weight(student, case):
        \"\"\"alpha[b, i, j] is 0 wherever mask[b, i, j] is 0.\"\"\"
        output, alpha = yield student.Layer(case.dim, case.n_hidden)(case.x, case.mask)
        expect.zero(expect.tensor(alpha, case.mask.shape, "alpha"), case.mask == 0, "alpha", "a masked token gets weight")

It records calls through ``student``, yields what it wants to know, gets the values back, and compares them with the checks
in `expect`, which raise `Violation`. Under pytest the same function is an ordinary hypothesis test with a ``student``
fixture; when grading, `engine` runs it for many cases at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from grader.errors import UsageError
from grader.kernel.remote import Student

Program = Generator[Any, Any, None]
When = Literal["any", "stand-ins", "whole"]
"""Whether a property is about a part with stand-ins, about one that is judged whole, or about any."""


class Case(Protocol):
    """One drawn trial: knows how to show itself to a person."""

    def shown(self) -> dict[str, str]:
        """Labels and values of the inputs."""


@dataclass(frozen=True)
class Part:
    """A judged part of the homework and what it builds on.

    ``probe`` are constructor arguments, and ``probe_inputs`` makes the arguments of a call, with which to find out whether
    the student's class builds its stand-ins and works with them. ``family`` is the first half of the names of its properties
    where several modules hold them; by default it is the name of their module.
    """

    item: str
    name: str
    stand_ins: tuple[str, ...] = ()
    probe: tuple[int, ...] = ()
    probe_inputs: Callable[[], tuple[Any, ...]] = tuple
    lenient: bool = True
    family: str = field(default="", compare=False)


@dataclass(frozen=True)
class Property:
    """A property, its part, and when it applies: to a part with stand-ins, to one that is judged whole, or to any.

    The n-th case comes from the n-th strategy, and from the first again after the last.
    A property that ``catches`` may catch a `StudentError` where it yields, to leave an exception to another property.
    One that is ``private`` is judged by grading only, although its criterion may be public: its source says what is right.
    """

    name: str
    title: str
    part: Part
    when: When
    examples: int
    strategies: tuple[SearchStrategy[Any], ...]
    program: Callable[[Student, Any], Program]
    catches: bool = False
    private: bool = False

    def strategy_for(self, number: int) -> SearchStrategy[Any]:
        """The strategy that the case with this number comes from."""
        return self.strategies[number % len(self.strategies)]


def property_of(
    part: Part,
    strategy: SearchStrategy[Any] | tuple[SearchStrategy[Any], ...],
    *,
    when: When = "any",
    examples: int = 7,
    catches: bool = False,
    private: bool = False,
) -> Callable[[Callable[[Any, Any], Program]], Callable[[Any], None]]:
    """Declare a property of ``part`` over cases of ``strategy``; its docstring is the title that people read.

    Raises `UsageError` if the property cannot be one: no docstring, no ``yield``, other arguments, no strategy.
    Several strategies take turns, so that what has to be met (sizes that coincide, the homework's own sizes) is met with
    every seed.
    """
    strategies = strategy if isinstance(strategy, tuple) else (strategy,)

    def declare(program: Callable[[Any, Any], Program]) -> Callable[[Any], None]:
        family = part.family or program.__module__.rpartition(".")[2]
        title = " ".join((inspect.getdoc(program) or "").split())
        _require_well_written(program, strategies, title)
        name = f"{family}.{program.__name__}"
        declared = Property(name, title, part, when, examples, strategies, program, catches, private)

        @settings(
            max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(case=st.one_of(*strategies))
        def run(student: Any, case: Any) -> None:
            student.hold(declared, case)

        run.__name__ = run.__qualname__ = program.__name__
        run.__doc__ = program.__doc__
        run.__module__ = program.__module__
        run.prop = declared  # type: ignore[attr-defined]
        return run

    return declare


def _require_well_written(
    program: Callable[[Any, Any], Program], strategies: tuple[Any, ...], title: str
) -> None:
    """Raise `UsageError` with the place and the remedy if a property cannot be one."""
    code = inspect.unwrap(program).__code__
    where = f"{code.co_filename}, line {code.co_firstlineno}: {program.__name__}"
    if not title:
        raise UsageError(f"{where} has no docstring; add the sentence that students read")
    if not inspect.isgeneratorfunction(program):
        raise UsageError(f"{where} has no yield; ask for values with `output = yield student.Layer(4)(x)`")
    if len(inspect.signature(program).parameters) != 2:
        raise UsageError(f"{where} takes other arguments than (student, case)")
    if not all(isinstance(strategy, SearchStrategy) for strategy in strategies):
        raise UsageError(f"{where} gets no hypothesis strategy; call the function that returns one")


def properties_of(module: Any) -> list[Property]:
    """All properties of a module, in the order of their definition."""
    return [value.prop for value in vars(module).values() if isinstance(getattr(value, "prop", None), Property)]
