"""What travels arrives as it was, and nothing that arrives is unpickled."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from grader.assignment import Assignment
from grader.batch.jobs import Job
from grader.batch.pool import Lost
from grader.cluster.parcels import UNKNOWN, Parcel, Unknown, packed, unpacked
from grader.errors import GraderError
from grader.grade import Judged, failure
from grader.scoring.result import Evidence
from grader.scoring.verdict import Verdict
from grader.training.plan import Options, Outcome, plan


def judged(assignment: Assignment) -> Judged:
    verdicts = {
        "b": Verdict("b", "failed", "is 1, expected 2 \udcff", "x = 1", title="A property.", notes=("seen",)),
        "a": Verdict("a", "passed", defers_to=("b",)),
    }
    shown = Evidence(kind="image", title="heatmaps", mime="image/png", data="AAAA")
    trained = Outcome({"3c": Verdict("t", "passed")}, {"3c": ["by cpu"]}, {"3d": [shown]}, settled=True)
    return Judged(failure("ada.ipynb", assignment, "why"), verdicts, {"2a": ("one", "two")}, True, trained)


def test_a_result_arrives_as_it_was(assignment: Assignment) -> None:
    sent = replace(judged(assignment), verdicts={"a": Verdict("a", "passed", defers_to=("b",))})
    got = unpacked(packed(sent))
    assert isinstance(got, Judged)
    assert got.result == sent.result and got.verdicts == sent.verdicts and got.grader_failed
    assert {item: tuple(lines) for item, lines in got.notes.items()} == sent.notes
    assert got.trained == sent.trained


def test_what_could_not_be_judged_arrives_too(assignment: Assignment) -> None:
    sent = Judged(failure("ada.ipynb", assignment, "no kernel"), grader_failed=True)
    got = unpacked(packed(sent))
    assert isinstance(got, Judged) and got.verdicts is None and got.result.error == "no kernel"
    assert unpacked(packed(Lost("died"))) == Lost("died")
    with pytest.raises(Unknown):
        unpacked(UNKNOWN)


class _Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("trapped",)


@pytest.mark.parametrize(
    "answer", [pickle.dumps(_Trap()), b"", b"{}", b"[1]", b'{"result": 3}', None, _Trap()]
)
def test_what_is_no_answer_is_a_failure(
    answer: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(unpacked(answer), Lost)
    assert not (tmp_path / "trapped").exists()


def test_files_travel_as_bytes(assignment: Assignment, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (here / "ada.ipynb").write_bytes(b"notebook")
    (here / "weights.safetensors").write_bytes(b"weights")
    check = assignment.homework.training
    options = Options("verify", data=here, weights=here / "weights.safetensors", evidence_seconds=3)
    training = plan(check, here / "ada.ipynb", assignment.rubric, options, lambda: False)
    assert training is not None and training.action == "verify"
    job = Job(here / "ada.ipynb", "d", b"a secret", ("p",), 9.0, "Ada", training, "w", seed_number=2)
    parcel = Parcel.of(job)
    sent = pickle.dumps(parcel)
    assert b"a secret" not in sent, "the assignment, with its seed, stays"
    for path in here.iterdir():
        path.unlink()
    got = pickle.loads(sent).unpack(there, b"theirs", Path("/data"), 5)
    assert got.path == there / "ada.ipynb" and got.path.read_bytes() == b"notebook"
    assert (got.assignment, got.only, got.seconds, got.label, got.seed_number) == (
        b"theirs",
        ("p",),
        9.0,
        "Ada",
        2,
    )
    assert got.training is not None and got.training.weights is not None
    assert got.training.weights.read_bytes() == b"weights"
    assert got.training.options.weights == got.training.weights
    assert (got.training.options.data, got.training.options.threads) == (Path("/data"), 5)
    assert got.training.options.evidence_seconds == 3
    with pytest.raises(GraderError, match="changed while the batch ran"):
        Parcel.of(job)


def test_a_name_is_no_path(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    job = Parcel("../../evil.ipynb", b"x", "d", None, 1.0, "Eve").unpack(folder, b"", None, 1)
    assert job.path == folder / "evil.ipynb"
