"""How well causes are named, and the calibration that this gives."""

from __future__ import annotations

import random
from dataclasses import replace

from grader.insight.fingerprints import Calibration, Fingerprints, KnownFault
from grader.insight.holdout import calibrated, fitted, from_outside, held_out, named
from tests.insight.known import MASK, TABLE, fault


def test_each_fault_is_named_by_the_others() -> None:
    outcomes = {each.fault.name: each for each in named(held_out(TABLE), TABLE.calibration)}
    assert outcomes["1a/mask-ignored"].outcome == "right" and outcomes["1a/mask-ignored"].has_other
    assert outcomes["1a/axis"].outcome == "ambiguous" and outcomes["1a/axis"].is_right
    # Nobody else has its cause, and others fail exactly alike.
    assert outcomes["1a/reversed"].outcome == "wrong" and not outcomes["1a/reversed"].has_other
    assert outcomes["1b/other-part"].outcome == "unknown"


def test_mutants_from_outside_are_named_by_all() -> None:
    trials = (fault("m1", MASK, mask="a masked token gets weight"), replace(fault("m2", "", speed="slow"), causes=()))
    found = named(from_outside(replace(TABLE, trials=trials)), TABLE.calibration)
    assert [(each.outcome, each.has_other) for each in found] == [("right", True), ("unknown", False)]


def _random_table(copies: int, noise: float, seed: int = 1) -> Fingerprints:
    """Faults of 12 causes, of which each fails most of its cause's six properties."""
    draw = random.Random(seed)
    faults: list[KnownFault] = []
    for cause in range(12):
        properties = draw.sample([f"p{number}" for number in range(30)], 6)
        for copy in range(copies):
            kept = [name for name in properties if draw.random() > noise] or properties[:1]
            faults.append(fault(f"f{cause}-{copy}", f"Cause {cause}.", **dict.fromkeys(kept, "wrong")))
    return Fingerprints(tuple(faults))


def test_confidence_follows_how_often_guesses_are_right() -> None:
    clear, blurred = calibrated(_random_table(5, 0.0)), calibrated(_random_table(5, 0.5))
    sure, unsure = (named(held_out(table), table.calibration) for table in (clear, blurred))
    assert all(each.outcome == "right" and each.confidence > 0.8 for each in sure)
    guessed = [each for each in unsure if each.guess]
    right = sum(each.is_right for each in guessed) / len(guessed)
    mean = sum(each.confidence for each in guessed) / len(guessed)
    assert abs(mean - right) < 0.2 and mean < 0.95


def test_unknown_is_said_where_no_cause_has_two_faults() -> None:
    table = calibrated(_random_table(1, 0.3))
    table = replace(table, faults=(*table.faults, *_random_table(1, 0.3, seed=2).faults))
    renamed = tuple(replace(each, name=f"{n}", causes=(f"Cause {n}.",)) for n, each in enumerate(table.faults))
    table = calibrated(replace(table, faults=renamed))
    assert sum(each.outcome == "unknown" for each in named(held_out(table), table.calibration)) > 20


def test_few_trials_fit_nothing() -> None:
    assert fitted(held_out(TABLE)) == Calibration()
