"""The example, a wrong notebook and a small class are graded where one thing that Linux has is missing, and the level says so.

`core_here` is the grader on such a host, in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from grader.kernel import confinement

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or confinement.probe().level != "full" or not confinement.probe().namespaces,
        reason="needs a host of level full with namespaces, from which layers can be taken",
    ),
]

ROOT = Path(__file__).resolve().parents[2]
HOSTS = {
    "linux": ("none", "only Linux", set()),
    "proc": ("basic", "/proc is not mounted", {"landlock", "seccomp"}),
    "root": ("strong", "", {"landlock", "seccomp", "keeper"}),
    "fork": ("full", "", {"landlock", "seccomp", "uid"}),
    "landlock": ("basic", "Landlock is missing", {"seccomp", "uid"}),
    "seccomp": ("basic", "seccomp is missing", {"landlock", "uid"}),
}
"""The level, what is said to be weak, and layers that are active all the same."""


def core(lacking: str, folder: Path) -> subprocess.CompletedProcess[str]:
    folder.chmod(0o777)
    for parent in folder.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/") and parent.stat().st_mode & 0o777 == 0o700:
            parent.chmod(0o711)
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.portability.core_here", lacking, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.mark.parametrize("lacking", HOSTS)
def test_the_core_works_without(lacking: str, tmp_path: Path) -> None:
    level, weak, layers = HOSTS[lacking]
    ran = core(lacking, tmp_path)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    assert found["level"] == level
    assert weak in found["weak"]
    assert bool(found["weak"]) == bool(weak)
    for graded in (found["example"], found["wrong"]):
        assert graded["error"] is None
        assert layers <= set(graded["active"])
        assert {"landlock", "seccomp", "uid"} & set(graded["active"]) == {"landlock", "seccomp", "uid"} & layers
    assert found["example"]["lost"] == ["4d.padding"]
    assert "4d.value" in found["wrong"]["lost"] and found["wrong"]["points"] == 0
    assert found["batch"]["points"] == {"ada": "2", "bob": "0", "cyd": "2"}
    assert found["batch"]["status"] == (0 if level in ("strong", "full") else 4)
