"""Which models a batch trains, what it keeps of that, and what it says where it cannot; judged by a made-up judge."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from grader.assignment import Assignment
from grader.batch import rescore, training
from grader.batch.store import Store
from grader.batch.submissions import find_submissions
from grader.errors import UsageError
from grader.homework3 import HOMEWORK
from grader.homework3.training.check import ImageTraining
from grader.homework3.training.data import DataMissing
from grader.scoring.result import ItemResult, Result
from grader.training.plan import Device, Options
from tests.batch.conftest import Batch, MadeUp

pytestmark = pytest.mark.long

ALWAYS = Options("always", device="cpu")
VERIFY = Options("verify", device="cpu")


def points_of(folder: Path, item: str = "3c") -> dict[str, str]:
    with (folder / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["key"]: row[item] for row in csv.DictReader(file)}


def shown(folder: Path, key: str, item: str) -> ItemResult:
    result = Result.model_validate_json((folder / "results" / f"{key}.json").read_bytes())
    return next(found for found in result.items if found.id == item)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def with_data(assignment: Assignment, load: Callable[..., Any]) -> Assignment:
    """The assignment with a training check whose images come from ``load``."""
    return replace(assignment, homework=replace(assignment.homework, training=ImageTraining(load)))


@pytest.fixture
def assignment(assignment: Assignment) -> Assignment:
    """The assignment with no images, as nothing is trained here."""
    return with_data(assignment, lambda folder, say: SimpleNamespace(validation_images=(), train_file=Path()))


@pytest.fixture
def learners(tmp_path: Path) -> Path:
    """Submissions of which two learn, one does not, one takes too long, and two are the same."""
    folder = tmp_path / "class"
    folder.mkdir()
    texts = {"ada": "learns", "bob": "does not", "cyd": "learns", "dan": "slow", "eve": "learns, too"}
    for name, text in texts.items():
        (folder / f"{name}.ipynb").write_text(text, encoding="utf-8")
    return folder


def test_models_are_trained_once_after_everything_else(
    batch: Batch, learners: Path, out: Path, made_up: MadeUp
) -> None:
    outcome = batch(learners, training=ALWAYS)
    assert (outcome.judged, outcome.trained, outcome.untrained) == (4, 4, {})
    assert made_up.trained == ["ada.ipynb", "bob.ipynb", "dan.ipynb", "eve.ipynb"]
    assert made_up.properties[4:] == [0, 0, 0, 0], "no property is judged again"
    assert points_of(out) == {"ada": "1", "bob": "0", "cyd": "1", "dan": "", "eve": "1"}
    assert [evidence.title for evidence in shown(out, "cyd", "3d").evidence] == ["heatmaps"]
    assert shown(out, "dan", "3c").notes == ("this machine is too slow",)

    made_up.trained.clear()
    batch(learners, training=ALWAYS)
    assert made_up.trained == ["dan.ipynb"], "only what was not settled is tried again"
    batch(learners)
    assert points_of(out)["ada"] == "1", "a batch without training forgets nothing"
    assert len(made_up.judged) == 4


def test_more_time_for_the_gpt_trains_again(batch: Batch, learners: Path, made_up: MadeUp) -> None:
    (learners / "dan.ipynb").unlink()
    batch(learners, training=Options("always", device="cpu", evidence_seconds=10))
    batch(learners, training=ALWAYS)
    assert len(made_up.trained) == 3
    batch(learners, training=Options("always", device="cpu", evidence_seconds=20))
    assert len(made_up.trained) == 6


def test_checkpoints_count_less_than_training(
    batch: Batch, learners: Path, out: Path, made_up: MadeUp
) -> None:
    (learners / "ada.safetensors").write_bytes(b"weights")
    outcome = batch(learners, training=VERIFY)
    assert made_up.trained == ["ada.ipynb"]
    assert list(outcome.untrained.values()) == [4] and "to verify" in next(iter(outcome.untrained))
    assert points_of(out) == {"ada": "1", "bob": "", "cyd": "", "dan": "", "eve": ""}, "cyd gave no weights"
    record = next(iter((out / "trained").glob("*.json")))
    assert json.loads(record.read_text())["verdicts"]["3c"]["property"] == "vit.checkpoint"

    (learners / "ada.safetensors").write_bytes(b"other weights")
    batch(learners, training=VERIFY)
    assert made_up.trained == ["ada.ipynb"] * 2, "other weights are counted with anew"
    made_up.trained.clear()
    batch(learners, training=ALWAYS)
    assert "ada.ipynb" in made_up.trained
    made_up.trained.clear()
    batch(learners, training=VERIFY)
    assert made_up.trained == [], "what was trained here needs no checkpoint"


def test_checkpoints_travel_in_archives_and_canvas_exports(
    batch: Batch, tmp_path: Path, made_up: MadeUp
) -> None:
    archive = tmp_path / "export.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for number in (1, 2):
            made.writestr(f"submission_{number}/homework.ipynb", f"learns {number}")
        made.writestr("submission_2/vit.safetensors", b"weights")
    canvas = tmp_path / "canvas"
    canvas.mkdir()
    (canvas / "lovelaceada_11_501_homework.ipynb").write_text("learns ada")
    (canvas / "babbagecharles_12_502_homework.ipynb").write_text("learns charles")
    (canvas / "lovelaceada_11_503_vit.safetensors").write_bytes(b"weights")
    (canvas / "babbagecharles_12_504_vit.safetensors").symlink_to(archive)  # links may lead anywhere
    batch(archive, canvas, training=VERIFY)
    assert sorted(made_up.trained) == ["homework.ipynb", "lovelaceada_11_501_homework.ipynb"]


def test_missing_data_are_reported_and_cost_nothing(
    batch: Batch, learners: Path, out: Path, made_up: MadeUp, assignment: Assignment
) -> None:
    def missing(folder: Any, say: Any) -> None:
        raise DataMissing("CIFAR-10 is not on this machine; get it with: grader data fetch")

    outcome = batch(learners, by=with_data(assignment, missing), training=ALWAYS)
    assert outcome.untrained == {"CIFAR-10 is not on this machine; get it with: grader data fetch": 5}
    assert not outcome.lost and made_up.trained == [] and set(points_of(out).values()) == {""}


def test_without_a_gpu_or_a_checkpoint_there_is_nothing_to_do(
    batch: Batch, learners: Path, made_up: MadeUp
) -> None:
    outcome = batch(learners, training=Options("auto", device="cpu"))
    assert made_up.trained == []
    assert [(count, "--training always" in why) for why, count in outcome.untrained.items()] == [(5, True)]


def test_only(batch: Batch, learners: Path, out: Path, made_up: MadeUp) -> None:
    batch(learners, only=("2a",), training=ALWAYS)
    assert made_up.trained == []
    batch(learners, only=("3c",), training=ALWAYS)
    assert len(made_up.trained) == 4 and points_of(out)["ada"] == "1" and points_of(out, "2b")["ada"] == ""
    with pytest.raises(UsageError, match="3c"):
        batch(learners, only=("3d",))


def test_limit_and_going_on(batch: Batch, learners: Path, made_up: MadeUp) -> None:
    (learners / "dan.ipynb").unlink()
    assert batch(learners, training=ALWAYS, limit=2).left == 1
    assert made_up.trained == ["ada.ipynb", "bob.ipynb"]
    assert batch(learners, training=ALWAYS, limit=2).left == 0
    assert made_up.trained == ["ada.ipynb", "bob.ipynb", "eve.ipynb"]


def test_a_broken_kernel_is_not_trained_and_a_lost_training_is_repeated(
    batch: Batch, learners: Path, out: Path, made_up: MadeUp
) -> None:
    (learners / "bob.ipynb").write_text("no kernel, learns", encoding="utf-8")

    made_up.training_error = MemoryError("no memory")
    outcome = batch(learners, training=ALWAYS)
    assert "bob.ipynb" not in made_up.trained
    assert sum("3c" in line and "no memory" in line for line in outcome.lost) == 3
    assert points_of(out, "2a")["ada"] != "", "what was judged before stands"
    assert "no memory" in shown(out, "ada", "3c").notes[0]


def test_another_budget_trains_again(batch: Batch, learners: Path, out: Path, tmp_path: Path) -> None:
    batch(learners, training=ALWAYS)
    text = HOMEWORK.rubric.read_text(encoding="utf-8")
    same, other = tmp_path / "same.yaml", tmp_path / "other.yaml"
    same.write_text(text + "# a remark\n", encoding="utf-8")
    assert "epochs: 3" in text
    other.write_text(text.replace("epochs: 3", "epochs: 2"), encoding="utf-8")
    with Store(out, create=False) as store:
        assert rescore.prepare(store, same).changes == ()
        changed = {change.key: change.items for change in rescore.prepare(store, other).changes}
    assert changed["ada"] == (("3c", 1.0, None),), "by another budget it waits"


@pytest.mark.parametrize(
    ("device", "cores", "at_a_time", "threads"),
    [("cuda", 16, 3, 0), ("cuda", 2, 2, 0), ("cpu", 2, 1, 2), ("cpu", 16, 4, 4), ("cpu", 6, 1, 6)],
)
def test_how_many_train_at_the_same_time(
    learners: Path,
    out: Path,
    assignment: Assignment,
    device: Device,
    cores: int,
    at_a_time: int,
    threads: int,
) -> None:
    places = training.Places(cores)
    entries = find_submissions([learners], out).entries
    with Store(out) as store:
        found = training.trainees_of(
            store, entries, assignment, "context", Options("always", device=device), lambda *said: None, places
        )
    assert found.at_a_time == at_a_time
    assert {trainee.job.options.threads for trainee in found.chosen} == {threads}
