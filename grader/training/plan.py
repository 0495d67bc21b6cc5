"""What a homework's training check is, and what it is to do for one submission."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from grader.kernel import gpu
from grader.kernel.session import Session
from grader.scoring.result import Evidence
from grader.scoring.rubric import Budget, Rubric, TrainingItem
from grader.scoring.verdict import Verdict
from grader.submission.template import Template
from grader.training import checkpoint

Mode = Literal["auto", "never", "always", "verify", "allotted"]
"""`allotted`: a checkpoint is verified, and without one the model is trained on whatever there is."""
Device = Literal["auto", "cuda", "cpu"]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """How a submission's training is to be checked."""

    mode: Mode = "never"
    data: Path | None = None
    device: Device = "auto"
    minutes: float | None = None
    """Of one attempt; by default the rubric's."""
    evidence_seconds: float = 0.0
    """For evidence on manual items from trained models; 0 skips it."""
    weights: Path | None = None
    """The checkpoint that was handed in; by default what lies beside the notebook."""
    threads: int = 0
    """On the CPU; by default one a core."""


@dataclass(frozen=True)
class Outcome:
    """What is known afterwards, by item."""

    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    notes: Mapping[str, list[str]] = field(default_factory=dict)
    evidence: Mapping[str, list[Evidence]] = field(default_factory=dict)
    settled: bool = False
    """Whether trying again would find nothing else."""


@dataclass(frozen=True)
class Job:
    """What will be done for one submission; ``why_not`` where it is nothing."""

    item: TrainingItem
    options: Options
    action: Literal["train", "verify", "nothing"]
    device: Literal["cuda", "cpu"] = "cpu"
    weights: Path | None = None
    why_not: str = ""

    @property
    def budget(self) -> Budget:
        """The rubric's, with the minutes that were asked for."""
        minutes = self.options.minutes
        return self.item.budget if minutes is None else self.item.budget.model_copy(update={"minutes": minutes})

    @property
    def seconds(self) -> float:
        """The most time it takes, a second attempt and evidence included."""
        if self.action == "nothing":
            return 0.0
        model_seconds = 2 * self.budget.minutes * 60 + 240 if self.action == "train" else 180.0
        return model_seconds + 2 * self.options.evidence_seconds


class TrainingCheck(Protocol):
    """How a homework's training items are judged. A homework without such items declares none."""

    @property
    def checkpoint(self) -> str:
        """The file name of the weights that students may hand in."""

    @property
    def data_name(self) -> str:
        """The data set's name."""

    def require(self, data: Path | None) -> None:
        """Raise `GraderError` if the data cannot be there. Reads no data, so that it returns at once."""

    def prepare(self, data: Path | None, say: Progress) -> str:
        """Get the data ready for many submissions, and describe them in a few words. Raises `GraderError`."""

    def fetch(self, data: Path | None, say: Progress) -> str:
        """Put the data into the cache, and describe them in one line. Raises `GraderError`."""

    def faults(self) -> list[str]:
        """Where the notebook's training settings cannot be used, a line each."""

    def run(self, job: Job, session: Session, template: Template, seed: bytes, progress: Progress) -> Outcome:
        """Carry out a job in the kernel of a submission whose cells have run. Raises nothing that goes wrong there."""


def plan(
    check: TrainingCheck | None,
    submission: Path,
    rubric: Rubric,
    options: Options,
    gpu_is_present: Callable[[], bool] = gpu.is_present,
) -> Job | None:
    """What the options ask for; None if nothing is trained in this homework."""
    item = next((item for item in rubric.items if isinstance(item, TrainingItem)), None)
    if check is None or item is None or options.mode == "never":
        return None
    name = check.checkpoint
    weights = None if options.mode == "always" else options.weights or checkpoint.find(submission, name)
    if options.mode == "verify" and weights is None:
        return Job(item, options, "nothing", why_not=f"nothing to verify: {checkpoint.why_none(submission, name)}")
    if weights is not None:
        return Job(item, options, "verify", _device(options, gpu_is_present), weights)
    device = _device(options, gpu_is_present)
    if options.mode == "auto" and device == "cpu":
        reason = checkpoint.why_none(submission, name)
        why = f"no GPU, and {reason}; --training always trains on the CPU, in about two minutes"
        return Job(item, options, "nothing", why_not=why)
    return Job(item, options, "train", device)


def _device(options: Options, gpu_is_present: Callable[[], bool]) -> Literal["cuda", "cpu"]:
    if options.device != "auto":
        return options.device
    return "cuda" if gpu_is_present() else "cpu"
