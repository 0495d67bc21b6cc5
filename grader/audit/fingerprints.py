"""Makes a homework's table of fingerprints: judges each wrong answer of the corpus, and again only what has changed since.

The mutants in ``named_mutants.yaml`` are judged as well. A person said what is wrong with each, so they measure how well the
corpus names faults that were not written for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from grader.audit import corpus, mechanical
from grader.audit.corpus import Case
from grader.audit.run import Found, property_verdicts, seeds
from grader.authoring.digests import code_digest, part_digest, properties_digest
from grader.errors import UsageError
from grader.homework import Homework
from grader.insight.fingerprints import Fingerprints, KnownFault
from grader.insight.symptoms import symptoms_of
from grader.scoring.rubric import ItemId
from grader.text.safe_text import one_line

Judge = Callable[[Case], Found]
_SAVE_EVERY = 10


def judge(case: Case) -> Found:
    """The verdicts of a case's own part, with counterexamples as small as a submission's."""
    return property_verdicts(case, own_part=True)


def judge_otherwise(case: Case) -> Found:
    """`judge`, by another seed, as a class has one of its own."""
    return property_verdicts(case, seeds(2)[1], own_part=True)


@dataclass(frozen=True)
class Wanted:
    """What a table is made of: wrong answers that people wrote, and mutants that people named."""

    faults: tuple[Case, ...]
    trials: tuple[Case, ...]

    @property
    def all(self) -> tuple[Case, ...]:
        """Both."""
        return (*self.faults, *self.trials)


def wanted(homework: Homework, criteria: Collection[str]) -> Wanted:
    """All cases of a homework's table; ``criteria`` are the rubric's. Raises `UsageError`."""
    cases = corpus.load_all(criteria, homework.corpus)
    parts = dict.fromkeys(case.part for case in cases)
    words = {part: corpus.load_causes(homework.corpus / f"{part}.yaml") for part in parts}
    faults = tuple(case for case in cases if case.entry.kind == "mutant")
    return Wanted(faults, tuple(_named(homework, criteria, words)))


def keys_of(cases: Sequence[Case], homework: Homework) -> dict[str, str]:
    """By name, what stands for a case's code, as far as it is not the reference's, and for that of its part's properties."""
    given = set(corpus.reference_cells())
    properties = {part: properties_digest(homework, part) for part in {case.part for case in cases}}
    return {
        case.name: f"{code_digest(cell for cell in case.cells if cell not in given)[:10]}-{properties[case.part][:10]}"
        for case in cases
    }


def known_faults(table: Fingerprints) -> dict[str, KnownFault]:
    """All that a table knows, by name."""
    return {fault.name: fault for fault in (*table.faults, *table.trials)}


def outdated(table: Fingerprints, cases: Sequence[Case], homework: Homework) -> list[Case]:
    """The cases that the table does not have, or has as they were once."""
    known, keys = known_faults(table), keys_of(cases, homework)
    return [case for case in cases if case.name not in known or known[case.name].key != keys[case.name]]


def update(
    table: Fingerprints,
    those: Wanted,
    homework: Homework,
    save: Callable[[Fingerprints], None],
    judging: Judge = judge,
    part: str | None = None,
) -> Iterator[Case]:
    """Judge what is out of date, in one part only if one is named, and yield each case as it is known.

    The table is saved again and again, so an update that is stopped goes on where it was.
    """
    known, keys = known_faults(table), keys_of(those.all, homework)
    late = [case for case in outdated(table, those.all, homework) if part is None or case.part == part]
    for number, case in enumerate(late, start=1):
        known[case.name] = fault_of(case, judging(case), keys[case.name], homework)
        if number % _SAVE_EVERY == 0:
            save(composed(known, table, those, homework))
        yield case
    save(composed(known, table, those, homework))


def judged_again(
    those: Wanted, count: int, homework: Homework, judging: Judge = judge_otherwise
) -> Iterator[tuple[Case, KnownFault]]:
    """So many of the wrong answers that people wrote, spread over all parts, with what another seed finds about them."""
    step = max(len(those.faults) // count, 1)
    for case in those.faults[::step][:count]:
        yield case, fault_of(case, judging(case), "", homework)


def fault_of(case: Case, found: Found, key: str, homework: Homework) -> KnownFault:
    """A case with what was found about it."""
    ours = {prop.name for prop in homework.properties.values() if prop.part.item == case.part}
    symptoms = symptoms_of(found.verdicts.values(), ours)
    return KnownFault(case.name, case.part, case.causes, case.entry.title, symptoms, key)


def composed(known: Mapping[str, KnownFault], table: Fingerprints, those: Wanted, homework: Homework) -> Fingerprints:
    """A table in the order of the corpus, with its words as they are today, and without what the corpus no longer has.

    A part all of whose cases are known as they are now counts as current.
    """

    def kept(cases: Sequence[Case]) -> tuple[KnownFault, ...]:
        return tuple(
            replace(known[case.name], causes=case.causes, title=case.entry.title) for case in cases if case.name in known
        )

    table = replace(table, faults=kept(those.faults), trials=kept(those.trials))
    late = {case.part for case in outdated(table, those.all, homework)}
    parts = dict.fromkeys(case.part for case in those.faults)
    sources = {part: table.sources.get(part, "") if part in late else part_digest(homework, part) for part in parts}
    return replace(table, sources=sources)


# -- mutants that a person named ---------------------------------------------------------------------------------------


class _NamedMutant(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    part: ItemId
    id: str
    change: str
    """For people who read the file."""
    causes: list[str] = []
    """Of the corpus of its part; none where nothing there is like it."""


class _NamedFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    mutants: list[_NamedMutant]


def _named(homework: Homework, criteria: Collection[str], words: Mapping[str, Mapping[str, str]]) -> Iterator[Case]:
    path = homework.named_mutants
    if not path.is_file():
        return
    try:
        entries = _NamedFile.model_validate(yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)).mutants
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path.name}: cannot be read: {one_line(str(error))}") from None
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        raise UsageError(f"{path.name}: {'.'.join(map(str, detail['loc']))}: {detail['msg']}") from None
    made = {mutant.name: mutant for mutant in mechanical.mutants()}
    for entry in entries:
        name = f"{entry.part}/{entry.id}"
        strange = [cause for cause in entry.causes if cause not in words.get(entry.part, {})]
        if strange:
            raise UsageError(f"{path.name}: {name}: {one_line(strange[0])} is not among the causes of {entry.part}.yaml")
        if name not in made:
            continue  # The reference has changed since; `grader audit generate` reports those of equivalent.yaml likewise.
        case = made[name].case(criteria)
        yield replace(case, causes=tuple(words[entry.part][cause] for cause in entry.causes))
