"""A small table of known faults: two parts, three causes, two of which fail exactly alike."""

from __future__ import annotations

from grader.insight.fingerprints import Calibration, Fingerprints, KnownFault
from grader.insight.symptoms import Symptom

SCALE, MASK, AXIS, ORDER = "The scale is wrong.", "The mask is ignored.", "The axis is wrong.", "The order is wrong."


def failed(**messages: str) -> dict[str, Symptom]:
    """Symptoms: failed properties with their messages."""
    return {name: Symptom("failed", message) for name, message in messages.items()}


def fault(name: str, cause: str, part: str = "1a", **messages: str) -> KnownFault:
    """A known fault that fails these properties."""
    return KnownFault(f"{part}/{name}", part, (cause,), f"What {name} does.", failed(**messages), name)


FAULTS = (
    fault("no-scale", SCALE, scale="is # times too large"),
    fault("wrong-root", SCALE, scale="is # times too large", sums="the row sums to #"),
    fault("mask-ignored", MASK, mask="a masked token gets weight"),
    fault("mask-lost", MASK, mask="a masked token gets weight", gradient="a masked token gets a gradient"),
    fault("axis", AXIS, sums="the row sums to #", shape="has shape (#, #)"),
    fault("axis-too", AXIS, sums="the row sums to #", shape="has shape (#, #)"),
    fault("reversed", ORDER, sums="the row sums to #", shape="has shape (#, #)"),
    fault("other-part", ORDER, "1b", scale="is # times too large"),
)
TABLE = Fingerprints(FAULTS, (), {"1a": "x"}, Calibration(12.0, 0.4, 0.1))
