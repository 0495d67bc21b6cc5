"""Runs scripts as real processes under the policy that a kernel gets."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from grader.kernel import confinement

CONFINE = Path(confinement.__file__).parents[1] / "inside" / "confine.py"
DEBIAN_PYTHON = "/usr/bin/python3"

# Stands for the launcher: loads the one file, confines itself, runs what the student wrote.
STARTER = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("confine", {confine!r})
confine = importlib.util.module_from_spec(spec)
spec.loader.exec_module(confine)
policy, source = json.loads(sys.stdin.read())
sys.path[:] = [path for path in sys.path if path not in ("", {root!r})]
layers = confine.apply(policy)


def attempt(step):
    try:
        step()
    except Exception as error:
        return type(error).__name__
    return "done"


scope = {{"__name__": "__main__", "layers": layers, "attempt": attempt, "json": json}}
exec(source, scope)
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if sys.platform != "linux":
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="layers of isolation are Linux's"))


@dataclasses.dataclass
class Cell:
    """One confined process in a workspace of its own."""

    workspace: confinement.Workspace
    host: confinement.Host
    interpreter: str

    def start(
        self, source: str, access: confinement.Access | None = None, pass_fds: Sequence[int] = (), **options: Any
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                self.interpreter,
                "-I",
                "-c",
                STARTER.format(confine=str(CONFINE), root=str(CONFINE.parents[3])),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
            cwd=self.workspace.path,
            env={
                "HOME": str(self.workspace.path),
                "TMPDIR": str(self.workspace.path),
                "OPENBLAS_NUM_THREADS": "1",
                "PATH": "/usr/bin:/bin",
            },
        )
        options.setdefault("keep_fds", [])
        policy = confinement.make_policy(self.workspace, access or confinement.Access(), host=self.host, **options)
        assert process.stdin is not None
        process.stdin.write(json.dumps([policy, textwrap.dedent(source)]))
        process.stdin.close()
        process.stdin = None
        return process

    def run(self, source: str, access: confinement.Access | None = None, **options: Any) -> Any:
        """What the script prints as JSON."""
        process = self.start(source, access, **options)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        return json.loads(out)


def _hosts() -> dict[str, confinement.Host]:
    here = confinement.probe()
    hosts = {"as this host gives": here}
    if here.root and here.identity == "own":
        # Root stands for a user who has no other to give to kernels.
        hosts["without a user of its own"] = dataclasses.replace(
            here, identity="shared", namespaces=False, as_root=True
        )
        if here.namespaces:
            # Python may lie in a private home, which kernels then need a right of their own to enter.
            hosts["without namespaces"] = dataclasses.replace(here, identity="reading", namespaces=False)
    return hosts


@pytest.fixture(params=list(_hosts()))
def cell(request: pytest.FixtureRequest) -> Iterator[Cell]:
    """A confined process, by every identity that this host lets one test."""
    host = _hosts()[request.param]
    if not host.landlock or not host.seccomp:
        pytest.skip("needs Landlock and seccomp")
    with confinement.Workspace(host) as workspace:
        yield Cell(workspace, host, sys.executable)


@pytest.fixture
def plain_cell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cell]:
    """A process of the system's own Python as a user of its own, without any capability."""
    if os.geteuid() != 0 or not Path(DEBIAN_PYTHON).exists():
        pytest.skip("needs root and a system Python")
    host = dataclasses.replace(confinement.probe(), identity="own", namespaces=False)
    with confinement.Workspace(host) as workspace:
        yield Cell(workspace, host, DEBIAN_PYTHON)


@pytest.fixture
def needs_program() -> Callable[[str], str]:
    def find(name: str) -> str:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"needs {name}")
        return found

    return find
