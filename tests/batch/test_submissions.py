"""Finding and naming, in the layouts that people download."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from grader.batch.submissions import Entry, find_submissions
from grader.errors import UsageError

METADATA = """\
submission_11:
  :submitters:
  - :name: Ada Lovelace
    :sid: "007"
    :email: ada@example.org
  - :name: "=cmd|x"
    :sid: '12'
    :email: ""
  :created_at: 2024-03-01 10:00:00.123 -0800
  :score: 3.0
submission_12:
  :submitters:
  - :name: Bob
    :sid:
  :extra: !ruby/object:Something
    a: 1
submission_13:
  :submitters: []
"""


def write(path: Path, text: str = "{}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def find(tmp_path: Path, *sources: Path) -> dict[str, Entry]:
    return {entry.key: entry for entry in find_submissions(sources, tmp_path / "extracted").entries}


def test_gradescope(tmp_path: Path) -> None:
    folder = tmp_path / "export" / "assignment_1_export"
    write(folder / "submission_metadata.yml", METADATA)
    write(folder / "submission_11" / "hw.ipynb", "1")
    write(folder / "submission_11" / ".ipynb_checkpoints" / "hw-checkpoint.ipynb", "much longer")
    write(folder / "submission_12" / "a.ipynb", "12")
    write(folder / "submission_12" / "sub" / "b.ipynb", "longer")
    for source in (folder, folder.parent):
        found = find(tmp_path, source)
        assert list(found) == ["Ada-Lovelace_007", "Bob", "cmd-x_12", "submission_13"]
        first, second, other, third = found.values()
        assert (first.name, first.id) == ("Ada Lovelace", "007") and (other.name, other.id) == (
            "=cmd|x",
            "12",
        )
        assert first.email == "ada@example.org" and not other.email
        assert first.path.name == other.path.name == "hw.ipynb"
        assert second.name == "Bob" and not second.id and second.path.name in ("a.ipynb", "b.ipynb")
        assert "Not graded: " in second.notes[0]
        assert third.problem is not None and "Nothing was handed in" in third.problem


def test_canvas(tmp_path: Path) -> None:
    folder = tmp_path / "submissions"
    write(folder / "lovelaceada_101_2001_homework3.ipynb", "1")
    write(folder / "o'neilshaun_LATE_102_2002_my_home_work-1.ipynb", "2")
    write(folder / "müllerjörg_late_103_2003_hw.ipynb", "3")
    found = find(tmp_path, folder)
    assert [(e.name, e.id, e.late) for e in found.values()] == [
        ("lovelaceada", "101", False),
        ("müllerjörg", "103", True),
        ("o'neilshaun", "102", True),
    ]
    assert list(found) == ["lovelaceada_101", "müllerjörg_103", "o-neilshaun_102"]


def test_folders_files_and_the_same_twice(tmp_path: Path) -> None:
    write(tmp_path / "a" / "ada" / "hw.ipynb", "1")
    write(tmp_path / "a" / "bob" / "hw.ipynb", "2")
    write(tmp_path / "b" / "x.ipynb", "3")
    write(tmp_path / "b" / "y.txt", "3")
    one = write(tmp_path / "b" / "z.ipynb", "4")
    found = find(tmp_path, tmp_path / "a", tmp_path / "b", one)
    assert list(found) == ["ada", "bob", "x", "z"]
    write(tmp_path / "c" / "X.ipynb", "5")
    keys = list(find(tmp_path, tmp_path / "b", tmp_path / "c"))
    assert len(keys) == 3 and len({key.casefold() for key in keys}) == 3 and "z" in keys


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives(tmp_path: Path, kind: str) -> None:
    inner = {
        "export/submission_metadata.yml": METADATA,
        "export/submission_11/hw.ipynb": "1",
        "export/submission_12/hw.ipynb": "2",
        "__MACOSX/export/submission_11/._hw.ipynb": "junk",
        "../evil.ipynb": "evil",
        "/tmp/evil-absolute.ipynb": "evil",
    }
    archive = tmp_path / f"class.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for name, text in inner.items():
                zipped.writestr(name, text)
    else:
        with tarfile.open(archive, "w:gz") as tar:
            for number, (name, text) in enumerate(inner.items()):
                info = tarfile.TarInfo(name)
                info.size = len(text)
                tar.addfile(info, write(tmp_path / "parts" / str(number), text).open("rb"))
    found = find(tmp_path, archive)
    assert [entry.name for entry in found.values()] == ["Ada Lovelace", "Bob", "=cmd|x", "submission_13"]
    assert not list(tmp_path.parent.rglob("evil*.ipynb"))
    assert find(tmp_path, archive) == found


def test_unreadable_submissions_are_members_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "class"
    write(folder / "fine.ipynb")
    (folder / "folder.ipynb").mkdir()
    (folder / "nowhere.ipynb").symlink_to(tmp_path / "nothing")
    found = find(tmp_path, folder)
    assert found["fine"].problem is None
    for name in ("folder", "nowhere"):
        problem = found[name].problem
        assert problem is not None and "\n" not in problem and name in problem


@pytest.mark.parametrize("make", ["nothing", "empty", "text", "badzip", "badmeta"])
def test_sources_that_are_none(tmp_path: Path, make: str) -> None:
    source = tmp_path / "source"
    if make == "empty":
        source.mkdir()
    elif make == "text":
        write(source / "a.txt")
    elif make == "badzip":
        source = write(tmp_path / "class.zip", "no archive")
    elif make == "badmeta":
        write(source / "submission_metadata.yml", "a: [")
    with pytest.raises(UsageError) as caught:
        find(tmp_path, source)
    assert "\n" not in str(caught.value)


def test_names_become_file_names(tmp_path: Path) -> None:
    write(tmp_path / "class" / f"{'ä' * 90} ; rm -rf $HOME.ipynb")
    write(tmp_path / "class" / "...ipynb")
    for key in find(tmp_path, tmp_path / "class"):
        assert len(key) <= 84 and not set(key) & set(" ;$/\n") and not key.startswith(".")


FORGED = METADATA.replace("submission_11", "submission_1").replace("submission_12", "submission_2")


@pytest.mark.parametrize("given", ["folder", "zip", "tar.gz", "one by one"])
@pytest.mark.parametrize("place", ["mallory", "mallory/deeper", "mallory/submission_1"])
def test_metadata_in_a_hand_in_names_nobody(tmp_path: Path, given: str, place: str) -> None:
    folder = tmp_path / "class"
    for name in ("alice", "bob"):
        write(folder / name / f"{name}.ipynb", name)
    write(folder / "carol" / "hw3.pdf")
    write(folder / "mallory" / "submission_1" / "mallory.ipynb", "mallory")
    write(folder / place / "submission_metadata.yml", FORGED)
    sources = sorted(path for path in folder.iterdir() if path.name != "carol")
    if given != "one by one":
        sources = [folder]
    if given == "zip":
        sources = [Path(shutil.make_archive(str(tmp_path / "given"), "zip", folder))]
    elif given == "tar.gz":
        sources = [Path(shutil.make_archive(str(tmp_path / "given"), "gztar", folder))]
    found = find(tmp_path, *sources)
    contents = {entry.path.read_text() for entry in found.values()}
    assert contents >= {"alice", "bob", "mallory"}
    for entry in found.values():
        assert not entry.email and "Lovelace" not in entry.name and entry.id != "007"
        said = any("submission_metadata.yml" in note for note in entry.notes)
        assert said == (entry.path.read_text() == "mallory" and place != "mallory/deeper")


def test_metadata_of_a_hand_in_does_not_take_over_where_others_hand_in_no_notebook(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as zipped:
        zipped.writestr("mallory/submission_metadata.yml", FORGED)
        zipped.writestr("mallory/submission_1/hw.ipynb", "mallory")
        zipped.writestr("carol/hw3.pdf", "no notebook")
    found = find(tmp_path, tmp_path / "class.zip")
    assert not any("Lovelace" in entry.name for entry in found.values())


def test_what_lies_beside_gradescopes_folders_has_a_row(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    write(folder / "submission_metadata.yml", METADATA)
    write(folder / "submission_11" / "hw.ipynb", "1")
    write(folder / "late" / "hw.ipynb", "2")
    write(folder / "by mail.ipynb", "3")
    assert list(find(tmp_path, folder)) == [
        "Ada-Lovelace_007",
        "Bob",
        "by-mail",
        "cmd-x_12",
        "late",
        "submission_13",
    ]


def test_two_exports_keep_their_names(tmp_path: Path) -> None:
    for section, submission in (("a", "submission_11"), ("b", "submission_12")):
        write(tmp_path / section / "submission_metadata.yml", METADATA)
        write(tmp_path / section / submission / "hw.ipynb", section)
    found = find(tmp_path, tmp_path / "a", tmp_path / "b")
    assert "ada@example.org" in {entry.email for entry in found.values()}


@pytest.mark.parametrize("levels", [1, 9, 60])
def test_yaml_aliases_are_refused_at_once(tmp_path: Path, levels: int) -> None:
    bomb = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    bomb += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    bomb += [f"submission_1:\n  :submitters:\n  - :name: *a{levels - 1}\n"]
    folder = tmp_path / "export"
    write(folder / "submission_1" / "hw.ipynb")
    write(folder / "submission_metadata.yml", "\n".join(bomb))
    with pytest.raises(UsageError, match="aliases"):
        find(tmp_path, folder)
