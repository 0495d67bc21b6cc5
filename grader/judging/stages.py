"""Decides what a part is judged with: stand-ins for the parts that it builds on, or the student's own classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grader.errors import KernelError
from grader.judging.children import SharedChild
from grader.judging.property import Part, Property
from grader.kernel.remote import NoReply, Student, StudentError, recording_of
from grader.kernel.stage import Stage


class Stages:
    """The stages of one submission's parts. A stage says what takes the place of the student's names in the kernel.

    Args:
        shared: the child in which parts are tried out.
        stand_in_source: the source of the homework's stand-ins.
        provided: methods of the template that take the place of the student's, by part name.
    """

    def __init__(
        self,
        shared: SharedChild,
        stand_in_source: str,
        provided: Mapping[str, Sequence[tuple[str, str, str]]],
    ) -> None:
        self.notes: dict[str, str] = {}
        self._shared, self._stand_in_source, self._provided = shared, stand_in_source, provided
        self._whole: dict[str, bool] = {}

    def applies(self, prop: Property) -> bool:
        """Whether a property is about the way in which the student built its part."""
        return prop.when in ("any", "whole" if self.is_judged_whole(prop.part) else "stand-ins")

    def is_judged_whole(self, part: Part) -> bool:
        """Whether the student's class builds no stand-ins or works only with the student's own classes.

        The class is tried out once. A note says why it is judged whole.
        """
        if not part.stand_ins:
            return False
        if part.name not in self._whole:
            why = self._why_whole(part)
            self._whole[part.name] = why is not None
            if why is not None:
                self.notes[part.item] = f"{part.name} {why}, so it is judged whole"
        return self._whole[part.name]

    def of(self, part: Part) -> Stage:
        """The stage in which a part is judged."""
        return self._stage(part, () if self.is_judged_whole(part) else part.stand_ins)

    def _why_whole(self, part: Part) -> str | None:
        answer = self._probe(part, self._stage(part, part.stand_ins))
        if isinstance(answer, list):
            return None if answer else f"builds no {part.stand_ins[0]}"
        if isinstance(answer, StudentError) and isinstance(self._probe(part, self._stage(part, ())), list):
            return f"uses what only your own {part.stand_ins[0]} has ({answer})"[:200]
        return None

    def _probe(self, part: Part, stage: Stage) -> Any:
        """Build and call the part in a stage: the list of stand-ins that took part, or why that failed."""
        student = Student(0)
        module = getattr(student, part.name)(*part.probe)
        if inputs := part.probe_inputs():
            module(*inputs)
        try:
            connection = self._shared.channel(stage).connection
            connection.begin()
            (answer,) = connection.run([(0, recording_of(student), student.standins())], stop=True)
        except (NoReply, KernelError):
            self._shared.give_up()
            return None
        return answer

    def _stage(self, part: Part, stand_ins: Sequence[str]) -> Stage:
        return Stage(
            stand_ins=tuple(stand_ins),
            source=self._stand_in_source if stand_ins else "",
            lenient=part.lenient,
            methods=tuple(self._provided.get(part.name, ())),
        )
