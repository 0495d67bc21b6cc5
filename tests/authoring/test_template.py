"""The template is up to date, gives no answer away, and runs before anything is written."""

import ast
import contextlib
import io
import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib
import nbformat
import nltk
import pytest

from grader.assets import DATA
from grader.authoring import notebooks as template
from grader.errors import GraderError, UsageError
from grader.homework import Homework
from grader.homework3 import HOMEWORK

matplotlib.use("Agg")
NEEDS_DATA = {"download", "train", "visualize"}
PARTS = ["AttentionHead", "MultiHeadedAttention", "Transformer", "PatchEmbed"]
PARTS += ["MyTokenizer", "DialogueGPT", "DialogueLoss"]


@pytest.fixture(scope="module")
def student():
    return template.build_template()


@pytest.fixture(scope="module")
def master():
    return template.build_master()


def code(notebook, roles=template.ROLES):
    return {
        cell.id: cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.metadata.hw3.role in roles
    }


def run(notebook, monkeypatch):
    """Run all cells that need no data in one namespace, and return it with what was printed."""
    monkeypatch.setattr(nltk.data, "path", [str(DATA / "nltk")])
    namespace, printed = {"__name__": "__main__"}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for name, source in code(notebook, set(template.ROLES) - NEEDS_DATA).items():
            exec(compile(source, name, "exec"), namespace)
    return namespace, printed.getvalue()


def answers(source):
    """The lines between the markers, in groups."""
    groups, inside = [], False
    for line in source.splitlines():
        if template.END.match(line):
            inside = False
        if inside:
            groups[-1].append(line)
        if template.START.match(line):
            inside = True
            groups.append([])
    return groups


def test_template_is_up_to_date():
    assert template.check() == []


def test_building_twice_gives_the_same_bytes(student, master):
    assert template.to_text(student) == template.to_text(template.build_template())
    assert template.to_text(master) == template.to_text(template.build_master())


def copied(folder: Path) -> Homework:
    """The homework with a copy of its reference."""
    shutil.copytree(HOMEWORK.reference, folder / "reference")
    return replace(HOMEWORK, folder=folder)


def test_build_writes_the_template_where_asked(tmp_path):
    assert template.build(tmp_path / "new") == [tmp_path / "new" / "homework3.ipynb"]
    assert (tmp_path / "new" / "homework3.ipynb").read_bytes() == HOMEWORK.template.read_bytes()
    written = template.write_master(tmp_path)
    assert nbformat.read(written, as_version=4).cells


def test_an_installed_grader_keeps_its_template(tmp_path):
    with pytest.raises(UsageError, match="--out"):
        template.build(homework=replace(HOMEWORK, folder=tmp_path / "_shipped"))


def test_check_names_the_cells_that_differ(tmp_path, student):
    homework = copied(tmp_path)
    changed = template.build_template()
    changed.cells[1].source += "\nextra = 1"
    removed = changed.cells.pop(2)
    path = template.write(changed, homework.template)
    assert template.check(homework) == [f"cell {removed.id!r} is missing", f"cell {student.cells[1].id!r} differs"]
    path.write_text("{", encoding="utf-8")
    assert "not a notebook" in template.check(homework)[0]
    path.unlink()
    assert "missing" in template.check(homework)[0]


def test_cells_say_what_they_are_for(student):
    for cell in student.cells:
        assert cell.metadata.tags == [f"hw3-{cell.metadata.hw3.role}"]
        assert cell.metadata.hw3.role in template.ROLES
        assert (cell.cell_type == "markdown") == ("outputs" not in cell)
        assert cell.get("outputs", []) == []


def test_no_line_of_an_answer_survives(student, master):
    for name, source in code(student).items():
        for given, blank in zip(answers(code(master)[name]), answers(source), strict=True):
            assert sum("raise NotImplementedError" in line for line in blank) == 1
            hints = [line for line in given if line.lstrip().startswith("#")]
            kept = {line.strip() for line in blank} & {line.strip() for line in given}
            assert kept - {line.strip() for line in hints} == set()
            assert not any(template.TASK in line for line in blank)
    everything = template.to_text(student)
    for giveaway in ("masked_fill", "ModuleList", "Conv2d(", "tril().expand(B", "torch.stack(collected"):
        assert giveaway not in everything


def test_what_is_provided_is_whole(student, master):
    """Outside the markers the template is the master, line by line."""

    def outside(source):
        lines, inside = [], False
        for line in source.splitlines():
            inside = inside and not template.END.match(line)
            if not inside:
                lines.append(line)
            inside = inside or bool(template.START.match(line))
        return lines

    shown = code(master)
    for name, source in code(student).items():
        if name != "setup":
            assert outside(source) == outside(shown[name]), name


def test_what_is_left_to_write_follows_the_interface(student):
    left = [
        line.split('"')[1].split()[0]
        for source in code(student).values()
        for line in source.splitlines()
        if line.lstrip().startswith('raise NotImplementedError("') and "is not implemented yet" in line
    ]
    assert left == [
        "AttentionHead.forward",
        "MultiHeadedAttention.__init__",
        "MultiHeadedAttention.forward",
        "Transformer.__init__",
        "Transformer.forward",
        "PatchEmbed.__init__",
        "PatchEmbed.forward",
        "MyTokenizer.encode",
        "MyTokenizer.decode",
        "DialogueGPT.__init__",
        "DialogueGPT.forward",
        "DialogueLoss.forward",
    ]


def test_every_import_stands_in_the_first_code_cell(student, master):
    for notebook in (student, master):
        first, *others = code(notebook).values()
        assert "import torch\n" in first
        for source in [first, *others]:
            assert "from reference" not in source
            assert "noqa" not in source
        for source in others:
            assert not any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(source).body)


def test_untouched_template_runs_and_lists_what_is_to_do(student, monkeypatch):
    namespace, printed = run(student, monkeypatch)
    for part in PARTS:
        assert f"still to do: {part}." in printed
        assert part in namespace


def test_training_cells_of_an_untouched_template_end_quietly(student, monkeypatch):
    namespace, _ = run(student, monkeypatch)
    namespace |= {"train_set": [0], "val_set": [0], "all_dialogues": ["Speak, speak!"]}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for name, source in code(student, {"train", "visualize"}).items():
            exec(compile(source, name, "exec"), namespace)
    assert printed.getvalue().count("still to do: ") == 4


def test_master_runs_and_leaves_nothing_to_do(master, monkeypatch):
    _, printed = run(master, monkeypatch)
    assert "still to do" not in printed
    assert "Transformer, test 3: attention follows the mask" in printed


def test_master_answers_every_question(master):
    asked = [cell for cell in master.cells if cell.metadata.hw3.role == "text-answer"]
    assert {cell.metadata.hw3.part for cell in asked} == set(template.model_answers())
    for cell in asked:
        assert len(cell.source.split("**Answer.**")[1]) > 20
        assert "Grading notes" not in cell.source


def test_student_gets_no_written_answer(student):
    text = template.to_text(student)
    for answer in template.model_answers().values():
        assert answer[:60] not in text


def test_grading_notes_follow_every_written_answer():
    sections = (HOMEWORK.reference / "written_answers.md").read_text(encoding="utf-8").split("\n## ")[1:]
    parts = ["1a", "1b", "1c", "1d", "1e", "1f", "2d", "3b", "3c", "3d", "3e", "4e", "4f", "4g", "4h", "4i"]
    assert [section.split("\n")[0] for section in sections] == parts
    assert all(section.count("**Grading notes.**") == 1 for section in sections)


def test_reference_is_read_and_never_imported(tmp_path):
    homework = copied(tmp_path)
    with (homework.reference / "transformer.py").open("a", encoding="utf-8") as file:
        file.write("\nraise RuntimeError('imported')\n")
    assert template.to_text(template.build_template(homework)) == HOMEWORK.template.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("# ======= Answer START ========\nx = 1", "does not end"),
        ("x = 1\n# ======= Answer END ========", "did not begin"),
        ("# ======= Answer START ========\nx = 1\n# ======= Answer END ========", "Task"),
        ("# ======= Answer START ========\n# ======= Answer START ========", "within another"),
    ],
)
def test_careless_markers_are_named(source, message):
    with pytest.raises(GraderError, match=message):
        template.strip_answers(source)
