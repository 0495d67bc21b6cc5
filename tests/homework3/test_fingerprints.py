"""The shipped table of fingerprints names the homework's known faults."""

from __future__ import annotations

import pytest

from grader.homework3 import HOMEWORK
from grader.insight.diagnosis import Diagnoser
from grader.insight.fingerprints import load_fingerprints
from grader.insight.holdout import from_outside, held_out, named

TABLE = load_fingerprints(HOMEWORK.fingerprints)


def test_every_part_has_known_faults_with_symptoms_of_its_own_properties() -> None:
    parts = {prop.part.item for prop in HOMEWORK.properties.values()}
    assert {fault.part for fault in TABLE.faults} == parts == set(TABLE.sources)
    for fault in (*TABLE.faults, *TABLE.trials):
        assert all(HOMEWORK.properties[name].part.item == fault.part for name in fault.symptoms)


def test_known_faults_are_named_by_their_own_fingerprints() -> None:
    diagnoser = Diagnoser(TABLE)
    unnamed = []
    for fault in TABLE.faults[::7]:
        diagnosis = diagnoser.diagnose(fault.part, fault.symptoms)
        first = diagnosis.ambiguous or diagnosis.guesses[:1]
        most = max((guess.similarity for guess in first), default=0.0)
        if diagnosis.first is None or most < 1 - 1e-9:
            unnamed.append(fault.name)
    assert unnamed == []


@pytest.mark.long
def test_faults_that_are_held_out_are_named_as_well_as_the_documentation_says() -> None:
    single = [each for each in named(held_out(TABLE), TABLE.calibration) if len(each.fault.causes) == 1]
    with_others = [each for each in single if each.has_other]
    assert sum(each.is_right for each in with_others) >= 0.5 * len(with_others)
    guessed = [each for each in single if each.guess]
    right = sum(each.is_right for each in guessed) / len(guessed)
    assert abs(right - sum(each.confidence for each in guessed) / len(guessed)) < 0.05
    strange = [each for each in named(from_outside(TABLE), TABLE.calibration) if not each.fault.causes]
    assert sum(not each.guess for each in strange) >= 0.75 * len(strange)
