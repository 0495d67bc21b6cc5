"""A batch's folder: what was judged, by content and never twice, and what is made of it.

    DIR/judged/CONTENT-CONTEXT.json   verdicts of one content; CONTEXT stands for grader, template, seed and time limits
    DIR/rechecked/                    verdicts with other seeds; no grade depends on them
    DIR/trained/CONTENT-CONTEXT.json  what came of training it, or CONTENT-CONTEXT-WEIGHTS.json, of weights handed in with it
    DIR/batch.json                    the class: who handed in which content, and the context
    DIR/rubric.yaml                   the rubric by which it was scored last
    DIR/roster.csv                    who is in the class, where --roster said so
    DIR/gradebook.sqlite              what people decided; see `grader.gradebook`
    DIR/overrides.yaml                overrides to import into the gradebook, where somebody wrote some
    DIR/falls.json                    grades that are lower than in an earlier run, and why
    DIR/results/KEY.json              \\
    DIR/feedback/KEY.md, KEY.html      } made of the above, each time anew
    DIR/grades.csv, DIR/summary.md    /

A batch resumes from the first nine. Every file is written atomically.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from grader.batch.memory import Settings
from grader.batch.submissions import Entry
from grader.errors import GraderError, UsageError
from grader.files.atomic import write_atomically
from grader.grade import Judged
from grader.homework import Homework, load_homework
from grader.scoring.compose import Facts, Findings, compose_result
from grader.scoring.pictures import Pictures
from grader.scoring.record import CodeLine
from grader.scoring.result import Evidence, Result, Versions
from grader.scoring.rubric import Rubric
from grader.scoring.verdict import Verdict, VerdictStatus
from grader.text.safe_text import one_line
from grader.training.plan import Outcome

LOCK_SECONDS = 3.0
_FOLDERS = ("judged", "rechecked", "trained", "results", "feedback")


class Stored(BaseModel):
    """Something that a folder keeps: immutable, and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_Model = TypeVar("_Model", bound=Stored)


def read_stored(path: Path, model: type[_Model]) -> _Model | None:
    """What a file holds; None if there is none, or if it is damaged."""
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError, ValueError):
        return None


class StoredVerdict(Stored):
    """A `Verdict`, as it is written down."""

    property: str
    status: VerdictStatus
    message: str = ""
    counterexample: str | None = None
    title: str = ""
    notes: tuple[str, ...] = ()
    defers_to: tuple[str, ...] = ()
    pictures: Pictures = ()
    snippet: str = ""
    places: tuple[CodeLine, ...] = ()

    @classmethod
    def of(cls, verdict: Verdict) -> StoredVerdict:
        """A verdict to write down."""
        return cls(**vars(verdict))

    def verdict(self) -> Verdict:
        """The verdict that was written down."""
        return Verdict(**vars(self))


class Record(Stored):
    """All that is known of one content in one context: verdicts by property, and a result for everything else.

    ``verdicts`` is null where there was nothing to judge, or no kernel to judge with.
    """

    format: Literal[1] = 1
    content: str
    context: str
    verdicts: dict[str, StoredVerdict] | None
    notes: dict[str, tuple[str, ...]] = {}
    lost: bool = False
    """The grader itself failed, by no fault of the submission's: `--rerun failed` tries again."""
    result: Result

    @property
    def failed(self) -> bool:
        """Whether the grader could not judge all of it."""
        broken = any(verdict.status == "error" for verdict in (self.verdicts or {}).values())
        return self.lost or broken

    def missing(self, properties: Collection[str]) -> list[str]:
        """Which of these properties have no verdict yet; none where nothing can be judged."""
        return [] if self.verdicts is None else [name for name in properties if name not in self.verdicts]


class Training(Stored):
    """What training found out about one content, by item."""

    format: Literal[1] = 1
    content: str
    context: str
    weights: str = ""
    """Of the checkpoint that was verified; empty where the model was trained here."""
    evidence_seconds: float = 0.0
    settled: bool
    """Whether trying again would find nothing else."""
    verdicts: dict[str, StoredVerdict] = {}
    notes: dict[str, tuple[str, ...]] = {}
    evidence: dict[str, tuple[Evidence, ...]] = {}

    @classmethod
    def of(cls, found: Outcome, **facts: Any) -> Training:
        """What is kept of an outcome."""
        return cls(
            verdicts={item: StoredVerdict.of(verdict) for item, verdict in found.verdicts.items()},
            notes={item: tuple(lines) for item, lines in found.notes.items()},
            evidence={item: tuple(shown) for item, shown in found.evidence.items()},
            settled=found.settled,
            **facts,
        )


class Member(Stored):
    """An `Entry`, as the class list holds it."""

    key: str
    name: str
    id: str
    file: str
    digest: str
    weights: str = ""
    """What tells the checkpoint from others that was handed in with it; empty where none was."""
    late: bool = False
    email: str = ""
    problem: str | None = None
    notes: tuple[str, ...] = ()
    identity: str = ""
    """Whose row it is, the same in each run."""
    group: str = ""
    """What those who handed in together have in common."""

    @classmethod
    def of(cls, entry: Entry) -> Member:
        """What is kept of a submission that was found."""
        facts = {**vars(entry)}
        path, _, _ = facts.pop("path"), facts.pop("checkpoint"), facts.pop("roster")
        facts["file"] = one_line(entry.file or (path.name if entry.digest else ""))
        return cls(**facts)


class Manifest(Stored):
    """The class, and what it was graded with."""

    format: Literal[1] = 1
    context: str
    seed: Literal["public", "secret"]
    members: tuple[Member, ...]
    settings: Settings | None = None
    """None in folders of earlier versions."""
    keys: dict[str, str] = {}
    """Keys by identity, also of those who are in the class no more: no key is given to somebody else."""
    sources: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()
    """Files that are nobody's."""

    @property
    def homework(self) -> Homework:
        """The homework that the class was graded with."""
        return load_homework(self.settings.homework_source if self.settings else None)


def remembered(folder: Path, change: Collection[str] = ()) -> dict[str, Any]:
    """What the class in a folder was graded with, by the fields of `Settings`, but for what is to ``change``."""
    manifest = read_stored(folder / "batch.json", Manifest)
    if manifest is None:
        return {}
    # Folders of earlier versions hold at least their rubric.
    settings: dict[str, Any] = {"rubric": ""} if manifest.settings is None else dict(manifest.settings)
    if "homework" in change:
        settings.pop("homework_source", None)
    return {name: value for name, value in settings.items() if name not in change}


class Store:
    """A batch's folder, locked for this process. Use as a context manager; every failure is a `GraderError` of one line.

    Another batch gets ``lock_seconds`` to leave the folder.
    """

    def __init__(self, folder: Path, *, create: bool = True, lock_seconds: float = LOCK_SECONDS) -> None:
        self.folder = folder
        self._create, self._lock_seconds = create, lock_seconds
        self._lock = -1

    def __enter__(self) -> Store:
        """Make the folder and lock it; raises `UsageError` where another batch works in it."""
        if not self._create and not (self.folder / "batch.json").is_file():
            raise UsageError(f"{one_line(str(self.folder))}: is not a batch folder; create one with `grader batch`")
        try:
            for name in _FOLDERS:
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._take_lock()
            self._drop_leftovers()
        except OSError as error:
            self.__exit__()
            raise GraderError(
                f"cannot write to {one_line(str(self.folder))}: {error.strerror or error}"
            ) from None
        except GraderError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Unlock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def release_in_child(self) -> None:
        """Close a forked child's copy of the lock, which would outlive this process otherwise."""
        self.__exit__()

    def _take_lock(self) -> None:
        try:
            import fcntl  # noqa: PLC0415 - absent on Windows
        except ImportError:
            return
        deadline = time.monotonic() + self._lock_seconds
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UsageError(
                        f"{one_line(str(self.folder))}: another batch is running in this folder; wait for it or stop it"
                    ) from None
                time.sleep(0.05)

    def _drop_leftovers(self) -> None:
        """Delete temporary files of a run that was killed while it wrote one."""
        for name in (".", *_FOLDERS):
            for path in (self.folder / name).glob(".*.*"):
                if path.is_file():
                    path.unlink()

    # -- what was judged -----------------------------------------------------------------------------------------

    def _path(self, content: str, context: str) -> Path:
        return self.folder / "judged" / f"{content}-{context}.json"

    def load(self, content: str, context: str) -> Record | None:
        """What is known of a content; None if nothing is, or if the file is damaged."""
        record = read_stored(self._path(content, context), Record)
        known = record is not None and (record.content, record.context) == (content, context)
        return record if known else None

    def keep(
        self, content: str, context: str, judged: Judged, *, lost: bool = False, again: bool = False
    ) -> Record:
        """Write down what was judged now, beside what was known before, which ``again`` forgets unless this was ``lost``."""
        known = self.load(content, context)
        if lost and known is not None and known.verdicts is not None:
            record = known.model_copy(update={"lost": True})
        else:
            record = _recorded(content, context, judged, None if again else known, lost=lost)
        write_atomically(self._path(content, context), record.model_dump_json() + "\n")
        return record

    def keep_training(self, training: Training) -> None:
        """Write down what training found."""
        path = self._trained_path(training.content, training.context, training.weights)
        write_atomically(path, training.model_dump_json() + "\n")

    def load_training(self, content: str, context: str, weights: str = "") -> Training | None:
        """What training found about a content, or its counting with those weights; None if nothing is known of it."""
        found = read_stored(self._trained_path(content, context, weights), Training)
        wanted = (content, context, weights)
        known = found is not None and (found.content, found.context, found.weights) == wanted
        return found if known else None

    def _trained_path(self, content: str, context: str, weights: str) -> Path:
        names = [content, context, *([weights] if weights else [])]
        return self.folder / "trained" / f"{'-'.join(names)}.json"

    # -- the class -----------------------------------------------------------------------------------------------

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the class list."""
        self.put(
            "batch.json", json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n"
        )

    def manifest(self) -> Manifest:
        """The class list; raises `UsageError` where there is none."""
        try:
            return Manifest.model_validate_json((self.folder / "batch.json").read_bytes())
        except (OSError, ValidationError, ValueError) as error:
            raise UsageError(
                f"{one_line(str(self.folder / 'batch.json'))}: cannot be read ({type(error).__name__}); "
                "restore a copy of it, or use another folder"
            ) from None

    def known_manifest(self) -> Manifest | None:
        """The class list, or None where there is none; raises `UsageError` where it cannot be read."""
        return self.manifest() if (self.folder / "batch.json").exists() else None

    def has(self, what: Literal["judged", "trained"]) -> bool:
        """Whether anything was judged or trained here."""
        return next((self.folder / what).glob("*.json"), None) is not None

    def put(self, name: str, text: str) -> None:
        """Put a file in its place unless it stands there already; raises `GraderError`."""
        path = self.folder / name
        with contextlib.suppress(OSError):
            if path.read_bytes() == text.encode("utf-8", "backslashreplace"):
                return
        write_atomically(path, text)

    def drop(self, name: str) -> None:
        """Delete a file, if it is there."""
        with contextlib.suppress(OSError):
            (self.folder / name).unlink()

    def drop_others(self, keys: Collection[str]) -> None:
        """Delete the reports of submissions that are in the class no more; what was judged is kept."""
        for folder, suffix in (("results", ".json"), ("feedback", ".md"), ("feedback", ".html")):
            for path in (self.folder / folder).glob(f"*{suffix}"):
                if path.stem not in keys:
                    with contextlib.suppress(OSError):
                        path.unlink()


def _recorded(content: str, context: str, judged: Judged, before: Record | None, *, lost: bool) -> Record:
    """What was judged now, over what was known before."""
    verdicts = None
    notes = {item: tuple(lines) for item, lines in judged.notes.items()}
    if judged.verdicts is not None:
        verdicts = {name: StoredVerdict.of(verdict) for name, verdict in sorted(judged.verdicts.items())}
        if before is not None and before.verdicts is not None:
            verdicts = {**before.verdicts, **verdicts}
            notes = {**before.notes, **notes}
    return Record(
        content=content, context=context, verdicts=verdicts, notes=notes, lost=lost, result=judged.result
    )


def scored(record: Record, rubric: Rubric, member: Member, training: Training | None = None) -> Result:
    """The result of a record by a rubric, under a member's name. Items with properties not judged yet wait."""
    evidence = {item.id: item.evidence for item in record.result.items}
    notes = dict(record.notes)
    trained: dict[str, Verdict] = {}
    if training is not None:
        trained = {item: stored.verdict() for item, stored in training.verdicts.items()}
        for item_id, lines in training.notes.items():
            notes[item_id] = (*notes.get(item_id, ()), *lines)
        for item_id, shown in training.evidence.items():
            evidence[item_id] = (*evidence.get(item_id, ()), *shown)
    verdicts = record.verdicts
    judged = None if verdicts is None else {name: stored.verdict() for name, stored in verdicts.items()}
    # What two handed in alike is judged once, and each is told of the own file.
    error, file = record.result.error, record.result.submission
    if error is not None and error.startswith(f"{file}: "):
        error = f"{member.file}: {error.removeprefix(f'{file}: ')}"
    known = Facts.of(record.result)
    warnings = tuple(dict.fromkeys((*known.warnings, *member.notes)))
    facts = replace(known, submission=member.file, error=error, warnings=warnings)
    return compose_result(rubric, facts, Findings(judged, trained, evidence, notes))


def unreadable(member: Member, rubric: Rubric, seed: Literal["public", "secret"], versions: Versions) -> Result:
    """The result of a submission that could not even be opened."""
    return compose_result(rubric, Facts(member.file, versions, member.problem, seed=seed))
