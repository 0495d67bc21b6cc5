"""The fingerprints of known faults: which properties each wrong answer of a corpus fails, and by what kind of message.

A table is a JSON file of a homework, written by `grader audit fingerprints`. It names the causes in words, so matching needs
neither the corpus nor the reference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from grader.errors import UsageError
from grader.insight.symptoms import Symptom, Symptoms
from grader.text.safe_text import one_line

NAME = "fingerprints.json"
_STATES: tuple[Literal["failed"], Literal["unreached"]] = ("failed", "unreached")


@dataclass(frozen=True)
class KnownFault:
    """A wrong answer whose cause is known.

    Args:
        name: its name in the corpus.
        part: the item of the class that is wrong.
        causes: what is wrong in words, one for each fault that it holds.
        title: what this one does in particular.
        symptoms: what it fails by.
        key: stands for its code and that of the properties; another one means that the symptoms are out of date.
    """

    name: str
    part: str
    causes: tuple[str, ...]
    title: str
    symptoms: Symptoms = field(hash=False)
    key: str = ""


@dataclass(frozen=True)
class Calibration:
    """How similarity becomes confidence; fitted by holding out each known fault once.

    Args:
        sharpness: how much a small difference in similarity counts.
        floor: the similarity at which no match is as likely as any single one.
        second: what a second fault in the same part has to add to the similarity.
        observed: pairs of a confidence and how often guesses with that confidence were right, in between as on a line; where
            there are none, the confidence is taken as it is.
    """

    sharpness: float = 8.0
    floor: float = 0.45
    second: float = 0.2
    observed: tuple[tuple[float, float], ...] = ()

    def honest(self, confidence: float) -> float:
        """How often guesses with this confidence are right."""
        if not self.observed:
            return confidence
        given, found = zip(*self.observed, strict=True)
        return float(np.interp(confidence, given, found))


@dataclass(frozen=True)
class Fingerprints:
    """The known faults of a homework.

    Args:
        faults: wrong answers that people wrote.
        trials: wrong answers that were made mechanically. They name no cause; they measure how well the others do.
        sources: by part, what stands for its corpus and its properties when the table was made.
        calibration: how similarity becomes confidence.
    """

    faults: tuple[KnownFault, ...] = ()
    trials: tuple[KnownFault, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    calibration: Calibration = Calibration()

    def of_part(self, part: str) -> tuple[KnownFault, ...]:
        """The faults of a part."""
        return tuple(fault for fault in self.faults if fault.part == part)


class _Fault(BaseModel):
    model_config = ConfigDict(extra="forbid")

    part: str
    causes: tuple[Annotated[int, Field(ge=0)], ...]
    title: str
    key: str
    symptoms: dict[str, tuple[Annotated[int, Field(ge=0, le=1)], Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]]


class _Calibration(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sharpness: float
    floor: float
    second: float
    observed: tuple[tuple[float, float], ...]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[1]
    sources: dict[str, str]
    calibration: _Calibration
    texts: list[str]
    faults: dict[str, _Fault]
    trials: dict[str, _Fault]


def load_fingerprints(path: Path) -> Fingerprints:
    """The table in a file; an empty one where there is no file. Raises `UsageError`."""
    if not path.is_file():
        return Fingerprints()
    try:
        file = _File.model_validate_json(path.read_bytes())
        faults, trials = _faults(file, file.faults), _faults(file, file.trials)
    except (OSError, ValidationError, ValueError, IndexError) as error:
        raise UsageError(
            f"{one_line(str(path))}: cannot be read ({type(error).__name__}); write it anew with `grader audit fingerprints`"
        ) from None
    return Fingerprints(faults, trials, file.sources, Calibration(**file.calibration.model_dump()))


def _faults(file: _File, entries: Mapping[str, _Fault]) -> tuple[KnownFault, ...]:
    return tuple(
        KnownFault(
            name,
            each.part,
            tuple(file.texts[place] for place in each.causes),
            each.title,
            {
                prop: Symptom(_STATES[state], file.texts[text], file.texts[relation])
                for prop, (state, text, relation) in each.symptoms.items()
            },
            each.key,
        )
        for name, each in entries.items()
    )


def to_json(table: Fingerprints) -> str:
    """The text of the file: a line for each fault, and each text once."""
    texts: dict[str, int] = {}

    def place(text: str) -> int:
        return texts.setdefault(text, len(texts))

    def rows(faults: Sequence[KnownFault]) -> dict[str, str]:
        return {
            fault.name: json.dumps(
                {
                    "part": fault.part,
                    "causes": [place(cause) for cause in fault.causes],
                    "title": fault.title,
                    "key": fault.key,
                    "symptoms": {
                        prop: [_STATES.index(symptom.state), place(symptom.message), place(symptom.relation)]
                        for prop, symptom in sorted(fault.symptoms.items())
                    },
                },
                ensure_ascii=False,
            )
            for fault in faults
        }

    faults, trials = rows(table.faults), rows(table.trials)
    head = {"format": 1, "sources": dict(table.sources), "calibration": vars(table.calibration)}
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    lines.append(f'"texts": {_block("[", (json.dumps(text, ensure_ascii=False) for text in texts), "]")}')
    for name, those in (("faults", faults), ("trials", trials)):
        lines.append(f'"{name}": {_block("{", (f"{json.dumps(key)}: {row}" for key, row in those.items()), "}")}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _block(start: str, rows: Iterable[str], end: str) -> str:
    return start + "\n" + ",\n".join(rows) + "\n" + end
