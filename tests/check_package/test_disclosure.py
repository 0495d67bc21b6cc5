"""The wheel holds nothing that gives an answer away, and the build notices if it would."""

from __future__ import annotations

import ast
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from grader.assignment import Assignment
from grader.check import public_criteria
from grader.check_package import build as building
from grader.check_package.disclosure import leaks, shapes_of, solution_regions
from grader.homework3 import HOMEWORK
from tests.conftest import solutions


@pytest.fixture(scope="module")
def packed(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def hidden(assignment: Assignment) -> dict[str, object]:
    public = {name for names in public_criteria(assignment.rubric, HOMEWORK.properties).values() for name in names}
    return {name: prop for name, prop in HOMEWORK.properties.items() if name not in public}


def test_no_file_is_named_like_something_secret(packed: dict[str, bytes]) -> None:
    names = " ".join(packed)
    for word in ("reference", "corpus", "mutat", "audit", "master", "written_answers", "equivalent", "rubric", "seed"):
        assert word not in names


def test_no_hidden_property_is_named_or_defined(packed: dict[str, bytes], assignment: Assignment) -> None:
    text = "\n".join(data.decode() for name, data in packed.items() if name.endswith((".py", ".json")))
    found = hidden(assignment)
    assert len(found) > 50
    assert [name for name in found if name in text] == []


def test_no_solution_shows(packed: dict[str, bytes], assignment: Assignment) -> None:
    assert leaks(packed, assignment) == []
    secret = {
        shape
        for path in HOMEWORK.reference.rglob("*.py")
        for region in solution_regions(path.read_text(encoding="utf-8"))
        for shape in shapes_of(region)
    }
    given = {shape for cell in assignment.template.cells for shape in shapes_of(cell.source)}
    assert len(secret - given) > 40
    for name, data in packed.items():
        if name.endswith(".py"):
            assert not shapes_of(data.decode()).keys() & (secret - given), name


def test_no_formula_of_a_right_answer_is_packed(packed: dict[str, bytes]) -> None:
    assert HOMEWORK.check_package is not None
    for oracle in HOMEWORK.check_package.oracles:
        place = f"{oracle.__name__.removeprefix('grader.').replace('.', '/')}.py"
        assert not [name for name in packed if name.endswith(f"_grader/{place}")]


@pytest.mark.parametrize(
    ("added", "named"),
    [
        (f"{solutions()['attention-head']}\n", "solution"),
        (solutions()["attention-head"].replace("scores", "s").replace("alpha", "a"), "solution"),
        ("NAME = 'attention_head.test_masked_tokens_get_no_weight'\n", "hidden property"),
    ],
)
def test_a_leak_is_noticed(packed: dict[str, bytes], assignment: Assignment, added: str, named: str) -> None:
    with_leak = {**packed, "hw3_check/helpers.py": added.encode()}
    assert any(named in line for line in leaks(with_leak, assignment))
    assert any("secret" in line for line in leaks({**packed, "hw3_check/corpus/2a.yaml": b""}, assignment))


def test_a_sentence_of_the_model_answers_is_noticed(packed: dict[str, bytes], assignment: Assignment) -> None:
    text = (HOMEWORK.reference / "written_answers.md").read_text(encoding="utf-8")
    sentence = next(each for each in re.split(r"(?<=\.)\s+", text) if len(each) > 100 and "|" not in each)
    assert any("model answers" in line for line in leaks({**packed, "a.txt": sentence.encode()}, assignment))


def test_a_public_property_that_uses_an_oracle_is_refused(assignment: Assignment) -> None:
    name = "patch_embed.test_other_sizes_work_alike"
    assert HOMEWORK.properties[name].private
    shown = replace(HOMEWORK)
    shown.__dict__["properties"] = {**HOMEWORK.properties, name: replace(HOMEWORK.properties[name], private=False)}
    with pytest.raises(Exception, match=f"{name} is public, but uses"):
        building.package_files(replace(assignment, homework=shown))


def test_all_that_is_packed_imports_only_what_is_packed(packed: dict[str, bytes]) -> None:
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in packed}
    for name, data in packed.items():
        if not name.endswith(".py"):
            continue
        for node in ast.parse(data).body:
            for module in [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []:
                assert not module.startswith("grader"), name
                assert not module.startswith("hw3_check") or module in modules, (name, module)


def test_the_same_sources_give_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    assert building.build(tmp_path).read_bytes() == wheel.read_bytes()
