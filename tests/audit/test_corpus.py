"""The corpus: what a file may say, and what is said about one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.audit import corpus
from grader.errors import UsageError
from grader.scoring.rubric import load_rubric

CRITERIA = [criterion.id for item in load_rubric().automatic for criterion in item.criteria]
GOOD = """part: 2a
class: AttentionHead
entries:
  - id: no-scaling
    kind: mutant
    title: Scores are not divided.
    edits: [{replace: " / math.sqrt(self.n_hidden)", with: ""}]
    loses: [2a.softmax]
  - id: another-class
    kind: variant
    title: Another class.
    before: |
      import numpy as np
    code: |
      class AttentionHead(nn.Module):
          pass
    after: |
      AttentionHead = AttentionHead
"""


def load(folder: Path, text: str, name: str = "2a.yaml") -> list[corpus.Case]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return corpus.load(path, CRITERIA)


def test_edits_and_cells(tmp_path: Path) -> None:
    edited, replaced = load(tmp_path, GOOD)
    assert edited.name == "2a/no-scaling"
    cell = next(cell for cell in edited.cells if "class AttentionHead(" in cell)
    assert "scores = q @ k.transpose(1, 2)  #" in cell
    place = replaced.cells.index("import numpy as np\n")
    assert replaced.cells[place + 1].endswith("class AttentionHead(nn.Module):\n    pass\n")
    assert replaced.cells[place + 2] == "AttentionHead = AttentionHead\n"
    assert "class MultiHeadedAttention" in "".join(replaced.cells)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: mutant", "kind: murderer", "2a.yaml:5: entries.0.kind"),
        ("2a.softmax", "2a.softness", "2a.yaml:8: the rubric has no criterion 2a.softness"),
        ("id: another-class", "id: no-scaling", "2a.yaml:9: entry no-scaling is already defined in line 4"),
        ("sqrt(self.n_hidden)", "sqrt(self.n)", "2a.yaml:4: no-scaling: ' / math.sqrt(self.n)' occurs 0 times"),
        ("    loses: [2a.softmax]\n", "", "a mutant says what it loses"),
        ("kind: variant", "kind: variant\n    loses: [2a.mask]", "a variant loses nothing"),
        ("part: 2a", "part: 2b", "2a.yaml:1: part 2b belongs in 2b.yaml"),
        ("AttentionHead\nentries", "Attention\nentries", "the reference has no class Attention"),
        ("title: Another", "titel: Another", "entries.1.title: Field required"),
        ("class: A", "class: [A", "2a.yaml:3: not YAML"),
        ("part: 2a\n", "part: 2a\npart: 2a\n", "2a.yaml:2: 'part' is repeated here"),
    ],
)
def test_faults_are_named_with_their_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(UsageError) as error:
        load(tmp_path, GOOD.replace(old, new))
    assert message in str(error.value)
    assert str(error.value).startswith("2a.yaml:")


def test_all_faults_are_reported_in_one_run(tmp_path: Path) -> None:
    wrong = GOOD.replace("kind: mutant", "kind: murderer").replace("title: Another", "titel: Another")
    wrong += "  - {id: third, kind: mutant, title: A third., code: pass, loses: [2a.softness, 2a.hardness]}\n"
    wrong += "  - {id: third, kind: variant, title: A fourth., edits: [{replace: absent, with: present}]}\n"
    with pytest.raises(UsageError) as error:
        load(tmp_path, wrong)
    places = [line.partition(": ")[0] for line in str(error.value).splitlines()]
    assert places == ["2a.yaml:5", "2a.yaml:9", "2a.yaml:11", "2a.yaml:19", "2a.yaml:19", "2a.yaml:20", "2a.yaml:20"]


def test_the_faults_of_all_files_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "2a.yaml").write_text(GOOD.replace("2a.softmax", "2a.softness"), encoding="utf-8")
    (tmp_path / "10a.yaml").write_text("part: 10b\nclass: AttentionHead\nentries: []\n", encoding="utf-8")
    with pytest.raises(UsageError) as error:
        corpus.load_all(CRITERIA, tmp_path)
    assert [line.partition(": ")[0] for line in str(error.value).splitlines()] == ["2a.yaml:8", "10a.yaml:1"]


def test_no_tag_makes_an_object(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        load(tmp_path, GOOD.replace("title: Another class.", "title: !!python/object/apply:os.getcwd []"))


def test_shipped_corpus_is_sound_and_large_enough() -> None:
    cases = corpus.load_all(CRITERIA)
    mutants = [case for case in cases if case.entry.kind == "mutant"]
    assert len(mutants) >= 150
    assert len(cases) - len(mutants) >= 60
    named = {criterion for case in mutants for criterion in case.entry.loses}
    assert named == set(CRITERIA)
    assert len({case.cells for case in cases}) == len(cases)
