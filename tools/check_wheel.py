"""Build the wheel and hold it to what it promises: all that a user needs travels in it, and it works anywhere.

    python tools/check_wheel.py FOLDER

Builds twice, which must give the same bytes. Installs the wheel without its dependencies into FOLDER and grades the embedded
example from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = (
    "grader/_shipped/rubric.yaml",
    "grader/_shipped/student_template/homework3.ipynb",
    "grader/_shipped/reference/homework3.py",
    "grader/_shipped/examples/honest_mistakes.ipynb",
    "grader/homework3/data/shakespeare.txt",
    "grader/authoring/skeleton_files/homework.py",
    "grader/kernel/inside/agent.py",
    "grader/review/static/review.js",
    "grader/review/templates/answer.html",
    "grader/report/pages/student.html",
    "grader/report/pages/style.css",
)


def _build(folder: Path) -> dict[str, str]:
    """Build the sources' archive and the wheel; their digests by name."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    # Zip archives know no time before this one.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "315532800"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def main(folder: Path) -> None:
    """Build, look inside, install and run."""
    built = [_build(folder / name) for name in ("first", "second")]
    if built[0] != built[1]:
        raise SystemExit(f"two builds of the same sources differ: {built[0]} and {built[1]}")
    (wheel,) = (folder / "first").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise SystemExit(f"{wheel.name} lacks {', '.join(missing)}")
    site = folder / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(install, check=True)
    result = folder / "result.json"
    # A folder of its own ahead of site-packages, so that this wheel and not the checkout is what runs.
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{sysconfig.get_path('purelib')}"}
    command = [
        sys.executable,
        "-P" if sys.version_info >= (3, 11) else "-B",
        "-m",
        "grader",
        "grade",
        "--example",
    ]
    subprocess.run(
        [*command, "--json", str(result)], check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL
    )
    graded = json.loads(result.read_text(encoding="utf-8"))
    if graded["error"] or not 0 < graded["score"] < graded["max_score"]:
        raise SystemExit(f"the wheel graded the example with {graded['score']} points: {graded['error']}")
    print(f"{wheel.name}: complete, and grades its example with {graded['score']} of {graded['max_score']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
