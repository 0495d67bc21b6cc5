"""The grader works as well where its files may be written to by a group, as with a umask of 002."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from grader import assets
from tests.conftest import notebook, solutions

ROOT = Path(assets.__file__).resolve().parent.parent
GRADE = """
import sys
from pathlib import Path
from grader.assignment import load_assignment
from grader.grade import Request, judge
from grader.tokenizer_data import word_tokenize

assert word_tokenize("Speak, speak!") == ["Speak", ",", "speak", "!"]
assignment = load_assignment()
wanted = [name for item in assignment.rubric.automatic if item.id == "4a" for c in item.criteria for name in c.properties]
print(judge(Path(sys.argv[1]), assignment, Request(only=wanted)).result.to_json())
"""


def test_data_that_a_group_may_write_to(tmp_path: Path) -> None:
    for name in ("grader", "reference", "student_template", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "rubric.yaml", tmp_path)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    submission = tmp_path / "submission.ipynb"
    submission.write_text(notebook(solutions()["setup"], solutions()["my-tokenizer"]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", GRADE, str(submission)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "NLTK will not read" not in done.stderr, done.stderr
    (item,) = [item for item in json.loads(done.stdout)["items"] if item["id"] == "4a"]
    assert item["points"] == 2, item
