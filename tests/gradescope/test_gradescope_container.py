"""The container's checks, when asked for: HW3_CONTAINER=FOLDER, a Linux host, root and debootstrap.

HW3_CONTAINER_ARGS may hold more arguments for tests.gradescope.chroot, such as another suite or a mirror.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("HW3_CONTAINER"), reason="takes half an hour; set HW3_CONTAINER to a folder"
)
def test_the_container() -> None:
    folder = Path(os.environ["HW3_CONTAINER"]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "seed.txt").write_text("a seed for the container's checks")
    archive = folder / "autograder.zip"
    build = [sys.executable, "-m", "grader", "gradescope", "build", "--out", str(archive), "--skip-check"]
    subprocess.run([*build, "--seed-file", str(folder / "seed.txt")], check=True)
    more = shlex.split(os.environ.get("HW3_CONTAINER_ARGS", ""))
    script = [sys.executable, "-m", "tests.gradescope.chroot", str(archive), str(folder), *more]
    subprocess.run(script, check=True, cwd=Path(__file__).resolve().parents[2])
