"""A homework is found by default, by folder and by module, and a source that declares none is refused in one line."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from grader.errors import UsageError
from grader.homework import VARIABLE, load_homework
from grader.homework3 import HOMEWORK

SECOND = Path(__file__).resolve().parent / "second_homework"


def test_homework_3_is_the_default():
    assert load_homework() is HOMEWORK
    assert load_homework("grader.homework3") is HOMEWORK


def test_the_environment_names_another(monkeypatch):
    monkeypatch.setenv(VARIABLE, str(SECOND))
    assert load_homework().name == "layers"


def test_a_folder_is_loaded_once_and_knows_its_properties():
    homework = load_homework(SECOND)
    assert load_homework(str(SECOND)) is homework
    assert "rnn_cell.test_shape" in homework.properties
    assert homework.rubric.is_file()


@pytest.mark.parametrize("source", [None, SECOND])
def test_it_travels_to_other_processes_by_its_source(source):
    homework = load_homework(source)
    assert pickle.loads(pickle.dumps(homework)) is homework


def test_two_folders_with_modules_of_the_same_names_are_kept_apart(tmp_path):
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "parts.py").write_text(f"NAME = {name!r}\n")
        (folder / "homework.py").write_text(
            "from pathlib import Path\n"
            "from grader.homework import Homework\n"
            "from . import parts\n"
            "HOMEWORK = Homework(name=parts.NAME, folder=Path(__file__).parent, modules=(parts,))\n"
        )
    assert [load_homework(tmp_path / name).name for name in ("one", "other")] == ["one", "other"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "has no homework.py"), ("X = 1\n", "defines no HOMEWORK"), ("HOMEWORK = 3\n", "defines no HOMEWORK")],
)
def test_a_folder_without_a_homework_is_refused(tmp_path, content, said):
    if content is not None:
        (tmp_path / "homework.py").write_text(content)
    with pytest.raises(UsageError, match=said):
        load_homework(tmp_path)


def test_a_module_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match="no such folder or module"):
        load_homework("no_such_homework")
