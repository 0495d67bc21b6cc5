"""The training check of one submission: what is asked for, what this machine can do, and what came of it."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from grader.errors import GraderError, KernelError
from grader.homework3.training import gpt, vit
from grader.homework3.training.attempt import Attempt, Settings, Task, decided
from grader.homework3.training.data import CLASSES, Cifar10, fetch, load, require
from grader.homework3.training.stated import stated
from grader.kernel.session import Session
from grader.scoring.result import Evidence
from grader.scoring.verdict import Verdict
from grader.submission.template import Template
from grader.training import checkpoint
from grader.training.link import NoReply, ReplyTimedOut, StudentError, TrainerLink
from grader.training.plan import Job, Outcome, Progress

TRAINED = "vit.training"
VERIFIED = "vit.checkpoint"
LIMITS = (
    "trained here on classes with other numbers than CIFAR-10's, and counted by labels that the submission never had; as the "
    "images are public, a network that knew them beforehand is found only if it fares worse with fresh views of them"
)
WEAKER = (
    "verified checkpoint: the student's model reaches this with the weights that were handed in; who trained them is not proved"
)
OPENED = "to train on the GPU, the submission could talk to its driver, which no layer of isolation guards"
_HEATMAPS, _CURVE, _SAMPLES = "3d", "4f", "4g"
Load = Callable[..., Cifar10]
NEEDED = {"n_channels": 3, "nout": len(CLASSES), "img_size": 32}
"""What a Vision Transformer for CIFAR-10 has to be built with, by the data."""


@dataclass(frozen=True)
class ImageTraining:
    """The `TrainingCheck` of Homework 3: the accuracy of a Vision Transformer on CIFAR-10, and evidence on the GPT.

    Args:
        load: gives the images of a folder, or of the usual one.
        settings: how the Vision Transformer is trained and measured.
    """

    load: Load = load
    settings: Settings = field(default_factory=Settings)

    @property
    def checkpoint(self) -> str:
        """The name of the file with a student's weights."""
        return "vit.safetensors"

    @property
    def data_name(self) -> str:
        """The data set's name."""
        return "CIFAR-10"

    def require(self, data: Path | None) -> None:
        """Raise `DataMissing` where there can be no CIFAR-10."""
        require(data)

    def prepare(self, data: Path | None, say: Progress) -> str:
        """Decode CIFAR-10 unless it is in the cache already."""
        found = self.load(data, say=say)
        return f"{len(found.validation_images)} validation images, {found.train_file.parent}"

    def fetch(self, data: Path | None, say: Progress) -> str:
        """Download CIFAR-10, or take it from a folder."""
        place = fetch(data, say=say)
        found = self.load(None)
        return f"{len(found.train_images)} and {len(found.validation_images)} images in {place}"

    def faults(self) -> list[str]:
        """Where the notebook's Vision Transformer does not fit CIFAR-10."""
        try:
            sizes = stated().vit
        except GraderError as error:
            return [str(error)]
        found = [
            f"the notebook builds the Vision Transformer with {name}={sizes.get(name)}, CIFAR-10 needs {needed}"
            for name, needed in NEEDED.items()
            if sizes.get(name) != needed
        ]
        if sizes["img_size"] % sizes["patch_size"]:
            found.append("the notebook's img_size is not divisible by its patch_size")
        return found

    def run(self, job: Job, session: Session, template: Template, seed: bytes, progress: Progress) -> Outcome:
        """Train or verify the Vision Transformer, then train the GPT where time is given for it."""
        item = job.item.id
        if job.action == "nothing":
            return Outcome(notes={item: [f"not trained: {job.why_not}"]})
        try:
            data = self.load(job.options.data, say=progress)
        except GraderError as error:
            return Outcome(notes={item: [f"not judged: {error}"]})
        return _run(job, session, template, Task(data, job.budget, seed, self.settings), progress)


def _run(job: Job, session: Session, template: Template, task: Task, progress: Progress) -> Outcome:
    """Carry out a job in the kernel of a submission whose cells have run. Nothing that goes wrong here is raised."""
    item = job.item.id
    found = _Gathered({}, {}, {})
    try:
        with _opened(task.data) as file, session.training([file]) as stream:
            link = TrainerLink(stream)
            job = _begun(link, job, template, found)
            if job.action == "train":
                _train(link, task, job, progress, found, template)
            else:
                _verify(link, task, job, found)
            if job.options.evidence_seconds:
                _grow(link, job.options.evidence_seconds, task.seed, progress, found)
    except (NoReply, KernelError, StudentError) as error:
        if item not in found.verdicts:
            reason = str(error)
            if not isinstance(error, ReplyTimedOut):
                reason = f"{session.why_ended('during training')} ({error})"
            found.verdicts[item] = Verdict(TRAINED, "failed", reason[:500])
    except KeyboardInterrupt:
        found.settled = False
        found.note(item, "the grader was interrupted during training; what was judged by then stands")
    return Outcome(found.verdicts, found.notes, found.evidence, found.settled)


@dataclass
class _Gathered:
    verdicts: dict[str, Verdict]
    notes: dict[str, list[str]]
    evidence: dict[str, list[Evidence]]
    settled: bool = True

    def note(self, item: str, *texts: str) -> None:
        self.notes.setdefault(item, []).extend(texts)

    def show(self, item: str, evidence: Evidence) -> None:
        self.evidence.setdefault(item, []).append(evidence)


@contextlib.contextmanager
def _opened(data: Cifar10) -> Iterator[int]:
    descriptor = os.open(data.train_file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _begun(link: TrainerLink, job: Job, template: Template, found: _Gathered) -> Job:
    """Prepare the kernel; a GPU that it cannot use is said, and the CPU takes its place."""
    try:
        _begin(link, job, template)
        if job.device == "cuda":
            found.note(job.item.id, OPENED)
        return job
    except StudentError as error:
        if job.device == "cpu":
            raise
        found.note(job.item.id, f"the GPU could not be used, so the CPU was ({error})"[:300])
    job = replace(job, device="cpu")
    _begin(link, job, template)
    return job


def _begin(link: TrainerLink, job: Job, template: Template) -> None:
    link.ask(
        "begin",
        120.0,
        device=job.device,
        visible=os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] or "0",
        threads=job.options.threads or os.cpu_count() or 1,
        half=True,
        provided=[[name, template.with_imports(source)] for name, source in template.classes],
        scale=[list(stated().mean), list(stated().deviation)],
    )


def _train(
    link: TrainerLink,
    task: Task,
    job: Job,
    progress: Progress,
    found: _Gathered,
    template: Template,
) -> None:
    item = job.item.id
    attempts = vit.check(link, task, progress, device=job.device)
    if job.device == "cuda" and attempts[-1].raised and "same device" in attempts[-1].message:
        found.note(item, "parts of the model stay on the CPU, so all of it was trained there")
        job = replace(job, device="cpu")
        _begin(link, job, template)
        attempts = vit.check(link, task, progress)
    last = decided(attempts)
    shown = " | ".join(
        f"{look.images / len(task.data.train_images):.2f} ({look.seconds:.1f} s): {look.accuracy:.1%}"
        for look in last.looks
        if look.of
    )
    found.note(item, f"trained here on {job.device}, {_times(attempts)}", *last.notes)
    if shown:
        found.note(item, f"accuracy by epoch (and time): {shown}")
    if last.status == "pending":
        found.settled = last.implausible
        found.note(item, last.message if last.implausible else f"not judged: {last.message}")
        return
    if last.status == "passed":
        found.note(item, last.message, LIMITS)
        _heatmaps(link, task.data, found)
    found.verdicts[item] = Verdict(TRAINED, last.status, last.message)


def _times(attempts: tuple[Attempt, ...]) -> str:
    steps = sum(attempt.seconds.get("steps", 0.0) for attempt in attempts)
    looks = sum(attempt.seconds.get("looks", 0.0) for attempt in attempts)
    images = sum(attempt.images for attempt in attempts)
    return f"{images} images in {steps:.1f} s ({images / max(steps, 1e-9):.0f} a second), looks {looks:.1f} s"


def _verify(link: TrainerLink, task: Task, job: Job, found: _Gathered) -> None:
    item = job.item.id
    assert job.weights is not None
    try:
        weights = checkpoint.read(job.weights)
    except checkpoint.BadCheckpoint as error:
        found.note(item, f"not judged: {error}")
        return
    attempt = vit.verify(link, task, weights)
    found.note(item, *attempt.notes)
    if attempt.status == "passed":
        found.note(item, attempt.message, WEAKER)
        _heatmaps(link, task.data, found)
        found.verdicts[item] = Verdict(VERIFIED, "passed", attempt.message)
    else:
        # Weights that do not fit prove nothing against the student, whose own run a person can look at.
        found.note(item, f"the checkpoint was not accepted: {attempt.message}")


def _heatmaps(link: TrainerLink, data: Cifar10, found: _Gathered) -> None:
    """Ten validation images, one of each class, with what the class token of this model attends to."""
    from grader.homework3.training import pictures  # noqa: PLC0415  (imports matplotlib)

    chosen = [int(np.flatnonzero(data.validation_labels == number)[0]) for number in range(len(CLASSES))]
    images = np.asarray(data.validation_images[chosen])
    try:
        attention = link.ask("class_attention", 60.0, images=images)
        usable = (
            isinstance(attention, np.ndarray)
            and attention.ndim == 4
            and attention.dtype == np.float32
            and attention.shape[0] == len(images)
            and attention.shape[3] == stated().patches
            and bool(np.isfinite(attention).all())
        )
        if not usable:
            found.note(_HEATMAPS, "the trained model's attention weights cannot be drawn")
            return
    except StudentError as error:
        found.note(_HEATMAPS, f"the trained model gives no attention weights: your code raised {error}")
        return
    picture = pictures.heatmaps(images, attention.mean(axis=(1, 2)))
    title = "heatmaps of the model as it was trained here, one image of each class"
    found.show(_HEATMAPS, _image(picture, title))


def _grow(link: TrainerLink, seconds: float, seed: bytes, progress: Progress, found: _Gathered) -> None:
    from grader.homework3.training import pictures  # noqa: PLC0415

    try:
        grown = gpt.grow(link, seed, seconds, progress)
    except StudentError as error:
        found.note(_CURVE, f"the GPT could not be trained: your code raised {error}")
        return
    except NoReply as error:
        found.note(_CURVE, f"the GPT could not be trained: {error}")
        return
    found.note(_CURVE, *grown.notes())
    found.show(_CURVE, _image(pictures.losses(grown.losses, grown.held_out, grown.unigram), "losses of the GPT"))
    for epochs, text in grown.samples:
        title = f"generated after {epochs:.2f} epochs of training here"
        found.show(_CURVE, Evidence(kind="generated_text", title=title, text=text[:3000]))
    last = grown.samples[-1][1]
    title = f"{gpt.TOKENS} tokens of the model as it was trained here, in {grown.seconds:.0f} s"
    found.show(_SAMPLES, Evidence(kind="generated_text", title=title, text=last[:3000]))


def _image(data: bytes, title: str) -> Evidence:
    return Evidence(kind="image", title=title, mime="image/png", data=base64.b64encode(data).decode())
