"""The command line: errors are one line with the right status, help wraps, and piped output has no trailing blanks."""

from __future__ import annotations

import codecs
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from grader.assignment import read_seed
from grader.cli import app
from grader.errors import UsageError
from grader.homework3 import HOMEWORK
from grader.report.console import output

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = str(HOMEWORK.examples / "honest_mistakes.ipynb")


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "grader", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HW3_CACHE": str(folder / "cache"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["grade", "absent.ipynb"], 3, "absent.ipynb: there is no such file"),
        (["check", "absent.ipynb"], 3, "absent.ipynb: there is no such file"),
        (["grade"], 2, "name one notebook, or give --example"),
        (["grade", "--example", "--rubric", "absent.yaml"], 2, "absent.yaml:1: cannot be read"),
        (["grade", "--example", "--training", "sometimes"], 2, "--training: 'sometimes' is not one of 'auto'"),
        (["grade", "--example", "--data", "absent"], 2, "--data absent: there is no such folder"),
        (["batch", "a", "--out", "b", "--data", "absent"], 2, "--data absent: there is no such folder"),
        (["train", EXAMPLE, "--data", "absent"], 2, "--data absent: there is no such folder"),
        (["train", EXAMPLE, "--data", "."], 2, "holds neither"),
        (["train", EXAMPLE], 2, "CIFAR-10 is not on this machine; get it with: grader data fetch"),
        (["grade", "--colour"], 2, "No such option: --colour"),
        (["batch"], 2, "Missing argument"),
        (["gardening"], 2, "No such command 'gardening'"),
    ],
)
def test_an_error_is_one_line(tmp_path: Path, arguments: list[str], status: int, message: str) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == status
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("grader: ")
    assert message in line


def test_a_result_is_written_even_if_nothing_could_be_graded(tmp_path: Path) -> None:
    done = run(tmp_path, "grade", "absent.ipynb", "--json", "result.json")
    assert done.returncode == 3
    assert "there is no such file" in (tmp_path / "result.json").read_text(encoding="utf-8")


COMMANDS = [
    ["grade"],
    ["train"],
    ["check"],
    ["batch"],
    ["report"],
    ["rescore"],
    ["grades"],
    ["review"],
    ["doctor"],
    ["audit"],
    ["audit", "generate"],
    ["template", "build"],
    ["data", "fetch"],
    ["gradescope", "build"],
    ["gradescope", "try"],
    ["gradebook", "log"],
    ["gradebook", "overrides"],
    ["gradebook", "rubric"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_fills_its_lines_and_leaves_no_blanks(command: list[str]) -> None:
    done = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert not [line for line in lines if line != line.rstrip() or len(line) > 80]
    # A line of running text is broken only where the next word does not fit.
    for line, following in itertools.pairwise(lines):
        prose = re.match(r"  [A-Za-z0-9]", line) and re.match(r"  [A-Za-z0-9]", following)
        if prose and not re.search(r"\s{2,}\S", line.strip()) and not re.search(r"\s{2,}\S", following.strip()):
            assert len(line) + 1 + len(following.split()[0]) > 78, f"{line!r} has room for more"


def test_piped_output_has_no_blanks_at_the_ends_of_lines(tmp_path: Path) -> None:
    for arguments in (["doctor"], ["audit", "generate", "--list", "--limit", "5"]):
        done = run(tmp_path, *arguments)
        assert done.stdout
        assert not [line for line in done.stdout.splitlines() if line != line.rstrip()]


def test_output_keeps_text_without_line_feed(capsys: pytest.CaptureFixture[str]) -> None:
    console = output()
    console.print("first   ", end="")
    console.print("second   ")
    assert capsys.readouterr().out == "first   second\n"


@pytest.mark.parametrize(
    "written",
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        lambda text: b"\n " + text.encode() + b"\r\n",
    ],
    ids=["bom", "powershell", "big-endian", "blanks"],
)
def test_a_seed_is_its_text_however_it_was_saved(tmp_path: Path, written) -> None:
    path = tmp_path / "seed.txt"
    path.write_bytes(written("0123456789abcdef0123456789abcdef"))
    assert read_seed(path) == b"0123456789abcdef0123456789abcdef"


def test_a_mark_does_not_make_a_short_seed_long_enough(tmp_path: Path) -> None:
    path = tmp_path / "seed.txt"
    path.write_bytes("0123456789".encode("utf-16"))
    with pytest.raises(UsageError, match="at least 16 bytes"):
        read_seed(path)


def test_choices_are_those_of_the_code_behind_them() -> None:
    from grader.cli.options import Device, IsolationLevel, TrainingMode
    from grader.kernel.confinement import LEVELS
    from grader.training import plan

    assert {mode.value for mode in TrainingMode} == set(get_args(plan.Mode)) - {"allotted"}, "which only Gradescope uses"
    assert {device.value for device in Device} == set(get_args(plan.Device))
    assert {level.value for level in IsolationLevel} == set(LEVELS)


def test_a_report_says_why_there_was_nothing_to_grade(tmp_path: Path) -> None:
    (tmp_path / "bad.ipynb").write_text("no notebook", encoding="utf-8")
    done = run(tmp_path, "grade", "bad.ipynb", "--html", "report.html", "--require-isolation", "none")
    assert done.returncode == 3
    assert "could not be graded" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["grade", "check"])
def test_a_report_needs_a_folder(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, command, "bad.ipynb", "--html", "absent/report.html", COLUMNS="200")
    assert done.returncode == 2 and "--html absent/report.html: the folder does not exist" in done.stderr
