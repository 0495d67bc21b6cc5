"""What all submissions of a class are graded by: rubric, template, seed, limits and homework."""

from __future__ import annotations

import codecs
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from grader.errors import UsageError
from grader.homework import Homework, load_homework
from grader.judging.engine import SHRINK_CALLS
from grader.judging.property import Property
from grader.judging.provided import provided_methods
from grader.kernel import confinement
from grader.kernel.limits import Limits
from grader.scoring.rubric import Rubric, load_rubric
from grader.submission.template import Template, load_template

PUBLIC_SEED = b"hw3 public seed"


@dataclass(frozen=True)
class Assignment:
    """What all submissions of a class are graded by."""

    rubric: Rubric
    template: Template
    seed: bytes = PUBLIC_SEED
    limits: Limits = field(default_factory=Limits)
    homework: Homework = field(default_factory=load_homework)
    most_cases: int | None = None
    """The most cases of a property; by default as many as it asks for."""
    shrink_calls: int = SHRINK_CALLS
    """How many cases may be tried to make a counterexample smaller."""
    least_isolation: confinement.Level | None = "strong"
    """The least level of isolation at which a kernel starts. None is for a person's own notebook, which is never refused."""

    def __getstate__(self) -> dict[str, object]:
        """Without the properties, which another process finds through the homework."""
        return {name: value for name, value in vars(self).items() if name != "properties"}

    @cached_property
    def properties(self) -> tuple[Property, ...]:
        """The properties that the rubric names, in its order."""
        named = (self.homework.properties[name] for name in self.rubric.properties)
        most = self.most_cases
        return tuple(prop if most is None else replace(prop, examples=min(prop.examples, most)) for prop in named)

    @property
    def provided_methods(self) -> dict[str, list[tuple[str, str, str]]]:
        """Methods of the template that replace the student's, by class."""
        return provided_methods(self.template, self.homework.provided_methods)

    @property
    def seed_kind(self) -> Literal["public", "secret"]:
        """Whether anyone who has the grader can predict the cases."""
        return "public" if self.seed == PUBLIC_SEED else "secret"


def load_assignment(
    rubric: Path | None = None,
    seed_file: Path | None = None,
    limits: Limits | None = None,
    homework: Homework | None = None,
) -> Assignment:
    """The assignment of a rubric file and a seed file; raises `RubricError` or `UsageError`."""
    homework = homework or load_homework()
    loaded = load_rubric(rubric or homework.rubric, known_properties=homework.properties)
    seed = PUBLIC_SEED if seed_file is None else read_seed(seed_file)
    template = load_template(homework.template, homework.provided_classes)
    return Assignment(loaded, template, seed, limits or Limits(), homework)


def read_seed(path: Path) -> bytes:
    """The secret in a seed file; raises `UsageError`."""
    try:
        seed = _without_mark(path.read_bytes()).strip()
    except OSError as error:
        raise UsageError(f"cannot read the seed file {path}: {error.strerror or error}") from None
    if len(seed) < 16:
        raise UsageError(
            f"{path}: a secret seed needs at least 16 bytes; make one with: openssl rand -hex 32 > {path}"
        )
    return seed


def _without_mark(data: bytes) -> bytes:
    """The text of a file as UTF-8: editors put a byte order mark before it, and PowerShell writes UTF-16."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        with suppress(UnicodeDecodeError):
            return data.decode("utf-16").encode()
    return data.removeprefix(codecs.BOM_UTF8)
