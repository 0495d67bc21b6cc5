"""Write the versions and hashes that container images install, for every Python of the grader: ``python -m tools.lock``.

Needs `uv`, which resolves the dependencies in ``pyproject.toml``. Torch and what only its CUDA builds need are left out: they
come from PyTorch's own index, which has a build for each kind of machine.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "containers" / "requirements.txt"
PYTHON = "3.11"
"""The oldest Python of the images, which Debian's has."""
TORCH = {"torch", "torchvision", "triton"}
CUDA = ("nvidia-", "cuda-")
_NAME = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


def lock(left_out: set[str], *options: str) -> str:
    """The lock file's text without these packages."""
    command = ["uv", "pip", "compile", "pyproject.toml", "--extra", "review", "--universal", "--python-version", PYTHON]
    for name in sorted(left_out):
        command += ["--no-emit-package", name]
    ran = subprocess.run([*command, "--quiet", "--no-header", *options], cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(ran.stderr.strip())
    return ran.stdout


def main() -> None:
    """Resolve twice: the first time to learn which packages belong to CUDA."""
    try:
        found = _NAME.findall(lock(TORCH))
    except FileNotFoundError:
        sys.exit("uv is not installed: pip install uv")
    cuda = {name for name in found if name.startswith(CUDA)}
    text = lock(TORCH | cuda, "--generate-hashes")
    LOCK.write_text(f"# Made by python -m tools.lock; do not edit.\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
