"""What travels between coordinator and workers: a submission's bytes there, a result as JSON back.

A worker's answer holds text that a student wrote. So it is JSON, read back into closed models and never unpickled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from grader.batch.jobs import Job
from grader.batch.pool import Lost
from grader.batch.store import Stored, StoredVerdict
from grader.errors import GraderError
from grader.grade import Judged
from grader.scoring.result import Evidence, Result
from grader.training import plan as training_plan


@dataclass(frozen=True)
class Parcel:
    """A job without a place: the notebook's name and bytes, and those of the checkpoint that was handed in with it."""

    name: str
    notebook: bytes
    digest: str
    only: tuple[str, ...] | None
    seconds: float
    label: str
    seed_number: int = 0
    training: training_plan.Job | None = None
    weights: str = ""
    checkpoint: tuple[str, bytes] | None = None

    @classmethod
    def of(cls, job: Job) -> Parcel:
        """A job as it travels; raises `GraderError` if its files cannot be read (any more)."""
        training = job.training
        checkpoint = None
        try:
            notebook = job.path.read_bytes()
            if training is not None and training.weights is not None:
                checkpoint = (training.weights.name, training.weights.read_bytes())
        except OSError as error:
            raise GraderError(
                f"changed while the batch ran ({error.strerror or error}); run it again"
            ) from None
        return cls(
            job.path.name, notebook, job.digest, job.only, job.seconds, job.label, job.seed_number, training, job.weights,
            checkpoint,
        )  # fmt: skip

    def unpack(self, folder: Path, assignment: bytes, data: Path | None, threads: int) -> Job:
        """The job of a worker, its files in an empty folder; ``data`` is this machine's, ``threads`` train on CPU."""
        path = folder / Path(self.name).name
        path.write_bytes(self.notebook)
        training = self.training
        if training is not None:
            weights = None
            if self.checkpoint is not None:
                weights = folder / "checkpoint" / Path(self.checkpoint[0]).name
                weights.parent.mkdir()
                weights.write_bytes(self.checkpoint[1])
            options = replace(training.options, data=data, weights=weights, threads=threads)
            training = replace(training, options=options, weights=weights)
        return Job(
            path,
            self.digest,
            assignment,
            self.only,
            self.seconds,
            self.label,
            training,
            self.weights,
            self.seed_number,
        )


class _Trained(Stored):
    """A training `Outcome`."""

    verdicts: dict[str, StoredVerdict]
    notes: dict[str, list[str]]
    evidence: dict[str, list[Evidence]]
    settled: bool


class _Answer(Stored):
    """What came of a parcel: ``lost`` says why no result did; ``unknown`` that the worker never heard of this coordinator."""

    lost: str | None = None
    unknown: bool = False
    result: Result | None = None
    verdicts: dict[str, StoredVerdict] | None = None
    notes: dict[str, tuple[str, ...]] | None = None
    grader_failed: bool = False
    trained: _Trained | None = None


class Unknown(Exception):
    """The worker does not know this coordinator: it was started anew since they agreed."""


UNKNOWN = _Answer(unknown=True).model_dump_json().encode()


def packed(found: Judged | Lost) -> bytes:
    """What a worker found, as JSON."""
    if isinstance(found, Lost):
        return _Answer(lost=found.reason).model_dump_json().encode()
    verdicts = found.verdicts
    trained = found.trained
    answer = _Answer(
        result=found.result,
        verdicts=None
        if verdicts is None
        else {name: StoredVerdict.of(each) for name, each in verdicts.items()},
        notes={item: tuple(lines) for item, lines in found.notes.items()},
        grader_failed=found.grader_failed,
        trained=_Trained(
            verdicts={item: StoredVerdict.of(each) for item, each in trained.verdicts.items()},
            notes={item: list(lines) for item, lines in trained.notes.items()},
            evidence={item: list(shown) for item, shown in trained.evidence.items()},
            settled=trained.settled,
        ),
    )
    return answer.model_dump_json().encode()


def unpacked(answer: object) -> Judged | Lost:
    """What a worker's answer says; raises `Unknown`. One that is no answer is `Lost`."""
    try:
        read = _Answer.model_validate_json(answer if isinstance(answer, bytes) else b"")
    except (ValidationError, ValueError) as error:
        return Lost(f"a worker's answer cannot be read ({type(error).__name__})")
    if read.unknown:
        raise Unknown
    if read.result is None:
        return Lost(read.lost or "a worker gave no result")
    trained = training_plan.Outcome()
    if read.trained is not None:
        of = read.trained
        verdicts = {item: each.verdict() for item, each in of.verdicts.items()}
        trained = training_plan.Outcome(verdicts, of.notes, of.evidence, of.settled)
    return Judged(
        read.result,
        None if read.verdicts is None else {name: each.verdict() for name, each in read.verdicts.items()},
        read.notes or {},
        read.grader_failed,
        trained,
    )
