"""The zip: the same bytes for the same inputs, complete, with scripts that survive other systems."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from grader.cli import app
from grader.errors import GraderError, UsageError
from grader.gradescope import build as building
from grader.gradescope.build import FILES, Options, build, check, pinned, requirements, write_zip
from grader.gradescope.guard import Guard
from grader.gradescope.results import message_only
from grader.gradescope.trial import Trial, unpack
from grader.gradescope.view import print_view

METADATA = """\
Metadata-Version: 2.4
Name: hw3-grader
Version: 9
Requires-Dist: numpy>=1.26
Requires-Dist: jsonschema>=4
Requires-Dist: colorama; sys_platform == "nowhere"
Requires-Dist: nothing-like-it; extra == "dev"
"""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "hw3_grader-9-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hw3_grader-9.dist-info/METADATA", METADATA)
    return path


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    path = tmp_path / "seed.txt"
    path.write_text("0123456789abcdef0123456789abcdef\r\n")
    return path


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, wheel: Path, seed: Path) -> None:
    options = Options(seed_file=seed, wheel=wheel, skip_check=True)
    first = build(tmp_path / "a.zip", options)
    os.utime(wheel, (0, 0))
    os.utime(seed, (2e9, 2e9))
    build(tmp_path / "b.zip", options)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert not first.checked and (tmp_path / "a.zip").stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
        assert names == sorted(names) == [name for name, _ in first.contents]
        assert {
            "setup.sh",
            "run_autograder",
            "rubric.yaml",
            "seed.txt",
            "constraints.txt",
            wheel.name,
        } <= set(names)
        assert archive.read("seed.txt") == b"0123456789abcdef0123456789abcdef\n"
        modes = {info.filename: info.external_attr >> 16 & 0o777 for info in archive.infolist()}
        assert modes["run_autograder"] == modes["setup.sh"] == 0o755 and modes["seed.txt"] == 0o600


@pytest.mark.parametrize("options", [Options(), Options(seed_file=Path("seed.txt"), public_seed=True)])
def test_refused_without_a_decision_on_the_seed(tmp_path: Path, options: Options) -> None:
    with pytest.raises(UsageError, match="--public-seed"):
        build(tmp_path / "a.zip", options)
    assert not list(tmp_path.iterdir())


def test_a_seed_that_can_be_guessed_is_refused(tmp_path: Path, wheel: Path) -> None:
    (tmp_path / "short").write_text("abc")
    with pytest.raises(UsageError, match="at least 16 bytes"):
        build(tmp_path / "a.zip", Options(seed_file=tmp_path / "short", wheel=wheel, skip_check=True))


def test_versions_are_those_of_this_environment_and_of_all_they_need(wheel: Path) -> None:
    required = requirements(wheel)
    assert [each.name for each in required] == ["colorama", "jsonschema", "numpy"]
    pins = dict(line.split("==") for line in pinned(required))
    assert {"numpy", "jsonschema", "attrs", "referencing"} <= set(pins)
    assert "colorama" not in pins and not [version for version in pins.values() if "+" in version]


def test_a_broken_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_text("no")
    with pytest.raises(UsageError, match="is not a wheel"):
        requirements(tmp_path / "a.whl")


@pytest.mark.parametrize(("master", "template"), [(17.0, 0.0), (18.0, 0.5)])
def test_no_zip_is_written_if_the_master_or_the_template_gets_another_score(
    tmp_path: Path, wheel: Path, seed: Path, master: float, template: float
) -> None:
    scores = iter([master, template])

    class Told(Trial):
        """Gives scores in turn, whatever it grades."""

        def master(self) -> Path:
            return tmp_path

        def template(self) -> Path:
            return tmp_path

        def run(self, submission: Path, metadata: Path | None = None) -> dict[str, object]:
            tests = [{"number": "2a", "output": "It fails.", "score": 17.0, "max_score": 18.0}]
            return {"score": next(scores), "output": "", "tests": tests}

    @contextlib.contextmanager
    def set_up(path: Path, say: Callable[[str], None]) -> Iterator[Trial]:
        folder = tmp_path / "trial"
        unpack(path, folder / "source")
        with Guard(folder) as guard:
            yield Told(folder, folder / "home", guard, "set up")

    with pytest.raises(GraderError, match=r"no zip was written: the .* gets .* not"):
        build(tmp_path / "a.zip", Options(seed_file=seed, wheel=wheel), set_up=set_up)
    assert not (tmp_path / "a.zip").exists()


def test_a_zip_whose_setup_fails_is_not_written(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {"setup.sh": b"echo no network; exit 3\n", "run_autograder": b""})
    with pytest.raises(GraderError, match=r"setup.sh failed with status 3: no network"):
        check(tmp_path / "a.zip")


def test_a_zip_that_is_no_autograder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no")
    with pytest.raises(UsageError, match="is not a readable zip"):
        unpack(tmp_path / "a.zip", tmp_path / "a")
    write_zip(tmp_path / "b.zip", {"folder/setup.sh": b""})
    with pytest.raises(UsageError, match=r"not an autograder zip"):
        unpack(tmp_path / "b.zip", tmp_path / "b")


# -- scripts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["setup.sh", "run_autograder"])
def test_scripts_have_unix_line_ends_and_parse(name: str) -> None:
    data = (FILES / name).read_bytes()
    assert data.startswith(b"#!/") and b"\r" not in data
    subprocess.run(["bash", "-n", str(FILES / name)], check=True)


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_run_autograder_leaves_valid_results_where_nothing_was_set_up(tmp_path: Path, ends: bytes) -> None:
    import json

    from grader.gradescope.results import valid

    script = tmp_path / "run_autograder"
    script.write_bytes((FILES / "run_autograder").read_bytes().replace(b"\n", ends))
    environment = {**os.environ, "HW3_AUTOGRADER": str(tmp_path), "HW3_HOME": str(tmp_path / "none")}
    done = subprocess.run(["sh", str(script)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "see the output of the image's build" in done.stderr
    found = json.loads((tmp_path / "results" / "results.json").read_text())
    assert valid(found) and "not set up" in found["output"]
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["results.json"]


def test_setup_takes_windows_line_ends_and_closes_the_source(tmp_path: Path) -> None:
    """All of setup.sh up to where it would install, on files that a Windows editor has saved."""
    source, home = tmp_path / "autograder" / "source", tmp_path / "home"
    source.mkdir(parents=True)
    home.mkdir()
    texts = {
        "setup.sh": (FILES / "setup.sh").read_bytes(),
        "run_autograder": (FILES / "run_autograder").read_bytes(),
        "python-version.txt": b"3.10\n",
        "constraints.txt": b"torch==1\n",
        "requirements.txt": b"torch\n",
        "pip-args.txt": b"\n",
        "torch-args.txt": b"\n",
    }
    for name, data in texts.items():
        (source / name).write_bytes(data.replace(b"\n", b"\r\n"))
        (source / name).chmod(0o644)
    (source / "hw3_grader-9-py3-none-any.whl").write_bytes(b"wheel")
    digest = subprocess.run(
        ["sha256sum"], input=b"wheeltorch==1\ntorch\n3.10\n", capture_output=True, check=True
    ).stdout[:64]
    (home / "stamp").write_bytes(digest)
    environment = {**os.environ, "HW3_AUTOGRADER": str(source.parent), "HW3_HOME": str(home)}
    done = subprocess.run(
        ["bash", str(source / "setup.sh")], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "already set up" in done.stdout, done.stderr
    assert source.stat().st_mode & 0o777 == 0o700
    assert (source / "run_autograder").read_bytes() == (FILES / "run_autograder").read_bytes()
    assert (source / "run_autograder").stat().st_mode & 0o777 == 0o755


# -- what people see -------------------------------------------------------------------------------------------


def test_the_students_view_leaves_out_what_is_hidden() -> None:
    results = message_only("Hello.")
    results["tests"] = [
        {"number": "2a", "name": "Shown", "score": 1, "max_score": 2, "status": "failed", "output": "why"},
        {"number": "2b", "name": "Secret", "score": 0, "max_score": 0, "visibility": "hidden", "output": "s"},
    ]
    results["score"] = 1.0

    def shown(instructor: bool) -> str:
        out = io.StringIO()
        print_view(results, Console(file=out, width=100), instructor=instructor)
        return out.getvalue()

    assert "Shown" in shown(False) and "why" in shown(False) and "Secret" not in shown(False)
    assert "Total: 1 / 2" in shown(False)
    assert "Secret" in shown(True)
    results["tests"][1]["visibility"] = "after_due_date"
    assert "Total: hidden" in shown(False) and "Total: 1 / 2" in shown(True)


def test_the_command_says_what_is_in_the_zip_and_that_it_was_not_checked(tmp_path: Path, wheel: Path) -> None:
    out = tmp_path / "autograder.zip"
    arguments = [
        "gradescope",
        "build",
        "--out",
        str(out),
        "--public-seed",
        "--wheel",
        str(wheel),
        "--skip-check",
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "NOT CHECKED" in done.output and "public seed" in done.output and wheel.name in done.output
    missing = CliRunner().invoke(app, ["gradescope", "try", str(tmp_path / "none.ipynb"), "--zip", str(out)])
    assert isinstance(missing.exception, UsageError)


def test_the_default_of_the_torch_index_is_the_commands_own() -> None:
    from grader.cli import gradescope as commands

    assert commands._CPU_INDEX == building.CPU_INDEX
