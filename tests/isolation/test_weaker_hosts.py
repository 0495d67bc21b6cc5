"""Hosts that lack a layer, made by a filter: what is refused, what runs all the same, and as whom."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from grader.cli.options import IsolationLevel
from grader.cli.output import report_weaker_isolation, required_isolation
from grader.kernel import confinement
from grader.kernel.inside import confine

pytestmark = pytest.mark.long

ROOT = Path(confinement.__file__).parents[3]

# A grader without some layers, and a cell that says as whom it runs and what it reads.
SCRIPT = """
import json, sys
from tests.isolation.lacking import become
lacking, is_user, level, secret = json.loads(sys.argv[1])
become(lacking, user=is_user)
from grader.errors import GraderError
from grader.kernel import confinement
from grader.kernel.session import Session
from grader.submission.planning import Plan, PlannedCell
from grader.submission.reading import CodeCell
source = f'''
import os
def read(path):
    try: return open(path).read()
    except OSError as error: return type(error).__name__
raise RuntimeError(repr([os.getuid(), read({secret!r})]))
'''
cell = PlannedCell(CodeCell(0, 1, "probe", source), source, "run", "", (), "")
host = confinement.probe()
said = dict(level=host.level, identity=host.identity, weak=confinement.weaknesses(), error=None, cell=None)
try:
    with Session(Plan((cell,), {}, False, ()), isolation_level=level) as session:
        said["cell"] = session.run_cells()[0].error
except GraderError as error:
    said["error"] = str(error)
print(json.dumps(said))
"""


def _session(lacking: list[str], level: str | None, secret: Path, *, user: bool = False) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([lacking, user, level, str(secret)])],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ran.returncode == 0, ran.stderr
    said: dict[str, Any] = json.loads(ran.stdout)
    return said


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "class.seed"
    path.write_text("the seed")
    path.chmod(0o600)
    return path


needs_all = pytest.mark.skipif(
    sys.platform != "linux" or confinement.probe().level != "full", reason="needs a host of level full"
)


@needs_all
@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("lacking", [["landlock"], ["landlock", "namespaces"], ["seccomp"]])
def test_grading_is_refused_where_a_layer_is_missing(lacking: list[str], user: bool, secret: Path) -> None:
    said = _session(lacking, "strong", secret, user=user)
    assert said["level"] == "basic"
    assert said["cell"] is None
    assert "--require-isolation basic" in said["error"]
    assert lacking[0].capitalize() in said["weak"] or lacking[0] in said["weak"]


@needs_all
@pytest.mark.parametrize("lacking", [["landlock"], ["landlock", "namespaces"], ["seccomp"]])
@pytest.mark.parametrize("level", ["basic", None])
def test_what_runs_all_the_same_is_not_root(lacking: list[str], level: str | None, secret: Path) -> None:
    said = _session(lacking, level, secret)
    assert said["error"] is None
    assert confinement.FIRST_UID <= int(re.findall(r"\[(\d+),", said["cell"])[0]) < confinement.KEEPER_UID
    if said["identity"] == "own":
        assert "PermissionError" in said["cell"]


@needs_all
def test_a_root_that_cannot_become_another_user_grades_nothing(secret: Path) -> None:
    said = _session(["capabilities"], "basic", secret)
    assert (said["level"], said["cell"]) == ("none", None)
    assert "never run as root" in said["error"]


@needs_all
def test_a_root_that_cannot_become_another_user_checks_its_own_notebook(secret: Path) -> None:
    said = _session(["capabilities"], None, secret)
    assert said["error"] is None
    # Landlock and seccomp hold for it.
    assert "[0, 'PermissionError']" in said["cell"]


@needs_all
def test_without_namespaces_the_right_to_read_is_kept_and_landlock_narrows_it(secret: Path) -> None:
    said = _session(["namespaces"], "strong", secret)
    assert said["error"] is None
    assert "'PermissionError'" in said["cell"]
    assert said["level"] == ("full" if said["identity"] == "own" else "strong")


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root")
def test_a_policy_without_layers_leaves_no_root() -> None:
    """What a kernel that reached the warm parent would ask for."""
    policy = {
        "version": confine.VERSION, "proc": True, "uid": None, "gid": None, "as_root": False, "namespaces": None,
        "keep_capabilities": [], "parent": None, "keeper": None, "keep_fds": None, "session": False,
        "umask": 0o77, "tag": None, "limits": {}, "landlock": None, "seccomp": None, "required": [],
    }  # fmt: skip
    script = (
        f"import importlib.util, json, sys\n"
        f"spec = importlib.util.spec_from_file_location('confine', {confine.__file__!r})\n"
        f"confine = importlib.util.module_from_spec(spec); spec.loader.exec_module(confine)\n"
        f"confine.apply(json.loads(sys.argv[1])); print('free')"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-c", script, json.dumps(policy)], capture_output=True, text=True, check=False, timeout=60
    )
    assert "still root" in ran.stderr
    assert ran.stdout == ""


FULL = confinement.Host(True, 7, True, True, "own")


@pytest.mark.parametrize(
    ("changes", "level", "own", "outcome"),
    [
        ({}, None, False, "strong"),
        ({}, "full", False, "full"),
        ({"landlock": 0}, None, False, "needs strong"),
        ({"landlock": 0}, None, True, None),
        ({"landlock": 0}, "basic", False, "basic"),
        ({"seccomp": False}, None, False, "needs strong"),
        ({"identity": "shared", "why_shared": "other users cannot read /x"}, "none", False, "outside a private home"),
        ({"identity": "shared", "why_shared": "other users cannot read /x"}, None, True, None),
        ({"linux": False, "landlock": 0, "seccomp": False, "root": False, "identity": "shared"}, None, False, "needs strong"),
    ],
)
def test_the_command_line_refuses_less_than_strong_unless_told(
    changes: dict[str, Any], level: str | None, own: bool, outcome: str | None
) -> None:
    host, asked = dataclasses.replace(FULL, **changes), None if level is None else IsolationLevel(level)
    if outcome in (None, *confinement.LEVELS):
        assert required_isolation(asked, own=own, host=host) == outcome
    else:
        with pytest.raises(confinement.IsolationError, match=outcome):
            required_isolation(asked, own=own, host=host)


def test_the_exit_status_says_that_isolation_was_weaker(capsys: pytest.CaptureFixture[str]) -> None:
    weak = dataclasses.replace(FULL, landlock=0)
    with pytest.raises(typer.Exit) as ended:
        report_weaker_isolation("basic", weak)
    assert ended.value.exit_code == 4
    assert "Landlock is missing" in capsys.readouterr().err
    report_weaker_isolation(None, weak)
    report_weaker_isolation("strong", FULL)
