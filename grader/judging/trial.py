"""Runs a property's program for one case."""

from __future__ import annotations

from typing import Any

from grader.judging.budget import Budget
from grader.judging.expect import StoodBack, Tally, Violation, counted_by
from grader.judging.failures import GRADERS_OWN, uninterpretable
from grader.judging.property import Property
from grader.kernel.remote import Recording, Student, StudentError, recording_of


class Trial:
    """A property's program for one case, run to its first question, with the comparisons that it makes."""

    def __init__(self, number: int, prop: Property, case: Any, seed: int, budget: Budget) -> None:
        self.number, self.prop, self.case = number, prop, case
        self.tally = Tally()
        self.is_over = False
        self._budget = budget
        student = Student(seed)
        self._recording = recording_of(student)
        self._program = prop.program(student, case)
        with budget.clock(), counted_by(self.tally):
            self._wanted = next(self._program)

    @property
    def row(self) -> tuple[int, Recording, Any]:
        """What to send to the kernel: whose it is, the calls, and what the program wants to know of them."""
        return self.number, self._recording, self._wanted

    @property
    def recording(self) -> Recording:
        """The calls since the last round."""
        return self._recording

    def tell(self, answer: Any) -> None:
        """Give the program its answer, or raise in it what the student's code raised, and take its next question.

        An answer that raises an unexpected exception in the property counts as wrong.
        """
        program = self._program
        self.tally.rounds += 1
        try:
            with self._budget.clock(), counted_by(self.tally):
                self._wanted = (
                    program.throw(answer) if isinstance(answer, StudentError) else program.send(answer)
                )
        except StopIteration:
            self.is_over = True
        except (Violation, StoodBack, StudentError, *GRADERS_OWN):
            self.is_over = True
            raise
        except Exception as error:
            self.is_over = True
            raise Violation(uninterpretable(error)) from error
