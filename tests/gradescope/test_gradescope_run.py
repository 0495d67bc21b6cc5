"""run_autograder's process: a valid results.json at every moment, whatever becomes of the one that grades."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from grader import assets
from grader.authoring import notebooks as template
from grader.gradescope import judge
from grader.gradescope.place import MIB, Place
from grader.gradescope.results import message_only, valid, write_results
from grader.homework3 import HOMEWORK
from grader.kernel import confinement
from grader.memory import free_memory, times_out_of_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the container is Linux")


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The platform's folders, with a zip of the public seed in them."""
    base = tmp_path / "autograder"
    for name in ("source", "submission", "results"):
        (base / name).mkdir(parents=True)
    (base / "source" / "rubric.yaml").write_bytes(HOMEWORK.rubric.read_bytes())
    (base / "source" / "settings.json").write_text('{"minutes": 5, "seed": "public"}')
    monkeypatch.setenv("HW3_AUTOGRADER", str(base))
    monkeypatch.setenv("PYTHONPATH", str(Path(assets.__file__).parent.parent))
    monkeypatch.delenv("HW3_BEGAN", raising=False)
    return Place(base)


def results(container: Place) -> dict[str, Any]:
    found = json.loads(container.results.read_text(encoding="utf-8"))
    assert valid(found), found
    return dict(found)


def started(code: str, prelude: str = "") -> subprocess.Popen[str]:
    """The process under test, with another one in the place of the one that grades."""
    lines = [
        "import subprocess, sys, time",
        "from grader.gradescope import run",
        "start = subprocess.Popen",
        f"run.subprocess.Popen = lambda command, **more: start([sys.executable, '-c', {code!r}], **more)",
        prelude,
        "sys.exit(run.main())",
    ]
    return subprocess.Popen([sys.executable, "-c", "\n".join(lines)], stdout=subprocess.PIPE, text=True)


def ended(code: str, prelude: str = "") -> str:
    """What it printed, once it has ended as it should."""
    process = started(code, prelude)
    out, _ = process.communicate(timeout=50)
    assert process.returncode == 0
    return out


def some_points(container: Place) -> str:
    partial = {
        "score": 7.0,
        "output": "Provisional.",
        "tests": [{"score": 7.0, "max_score": 18, "name": "2a"}],
    }
    return f"open({str(container.results)!r}, 'w').write({json.dumps(partial)!r}); "


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise SystemExit(3)", "The grader failed before it finished"),
        ("import os; os.kill(os.getpid(), 9)", "memory ran out"),
        ("import time; time.sleep(60)", "The time for grading (0.3 minutes) was used up"),
    ],
)
def test_the_points_so_far_stay(container: Place, code: str, told: str) -> None:
    # Three seconds are left when what the platform may need is kept back.
    ended(some_points(container) + code, "run.Place.minutes = 0.3")
    found = results(container)
    assert found["score"] == 7 and told in found["output"] and "not graded yet" in found["output"]
    assert len(found["tests"]) == 1


def test_nothing_is_left_running(container: Place, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    orphan = (
        "import os, time\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n"
        f"  open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)\n os._exit(0)\n"
        f"while not os.path.exists({str(pid)!r}) or not os.path.getsize({str(pid)!r}): time.sleep(0.01)\n"
    )
    ended(orphan)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_when_the_platform_stops_it(container: Place) -> None:
    process = started(some_points(container) + "import time; print(1, flush=True); time.sleep(60)")
    assert process.stdout is not None and process.stdout.readline()
    process.terminate()
    assert process.wait(10) == 0
    found = results(container)
    assert found["score"] == 7 and "The platform stopped the grader" in found["output"]


def test_killed_before_anything_the_file_is_valid(container: Place) -> None:
    process = started("", "run._watched = lambda *rest: time.sleep(60)")
    deadline = time.monotonic() + 30
    while not container.results.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    found = results(container)
    assert found["score"] == 0 and "stopped before it graded" in found["output"]


def test_an_earlier_runs_results_are_not_kept(container: Place) -> None:
    write_results(container.results, message_only("An earlier run."))
    ended("raise SystemExit(1)")
    assert "An earlier run" not in results(container)["output"]


def test_too_little_memory_is_said_and_nothing_started(container: Place, tmp_path: Path) -> None:
    ended(f"open({str(tmp_path / 'started')!r}, 'w')", "run.free_memory = lambda: 400 << 20")
    assert not (tmp_path / "started").exists()
    assert "400 MB of memory to spare, and grading needs at least 640 MB" in results(container)["output"]


def test_closed_while_it_grades(container: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    container.results.parent.chmod(0o777)
    container.metadata.write_text("{}")
    with container.closed():
        modes = {path.name: path.stat().st_mode & 0o077 for path in container.base.iterdir()}
        assert not any(modes.values()), modes
        assert container.open_to_others() is None
    assert container.results.parent.stat().st_mode & 0o777 == 0o755
    container.source.chmod(0o755)
    assert container.open_to_others() == container.source


def test_refused_where_a_submission_could_read_the_seed(
    container: Place,
) -> None:
    without = confinement.Host(True, 0, True, False, "shared", "the grader is not root")
    assert "Landlock is missing" in (judge._unsafe(container, without) or "")
    host = confinement.Host(True, 0, True, True, "own")
    assert "is open to other users" in (judge._unsafe(container, host) or "")
    with container.closed():
        assert judge._unsafe(container, host) is None


@pytest.mark.parametrize("minutes", [2, 5, 10, 40])
def test_every_item_has_time_of_its_own(minutes: float) -> None:
    seconds = minutes * 60 - 45
    limits = judge.limits_for(seconds, None)
    assert limits.start + limits.cells + 7 * limits.part <= seconds
    assert limits.property < limits.part and limits.cell <= limits.cells / 2
    assert limits.memory is None
    assert judge.limits_for(seconds, 3000 * MIB).memory == 2750 * MIB
    assert judge.limits_for(seconds, 640 * MIB).memory == 450 * MIB


def test_a_secret_seed_that_is_missing_is_no_public_one(container: Place) -> None:
    assert not container.secret_seed
    (container.source / "settings.json").write_text('{"minutes": 5, "seed": "secret"}')
    assert container.secret_seed
    (container.source / "settings.json").write_text("")
    assert container.secret_seed and container.minutes == 10


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (
            1,
            {
                "memory.limit_in_bytes": "1000",
                "memory.usage_in_bytes": "700",
                "memory.stat": "total_inactive_file 100",
            },
        ),
        (2, {"memory.max": "1000", "memory.current": "700", "memory.stat": "anon 5\ninactive_file 100\n"}),
    ],
)
def test_memory_is_what_the_containers_limit_leaves(
    version: int, files: dict[str, str], tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / ("memory.oom_control" if version == 1 else "memory.events")).write_text("x 1\noom_kill 3\n")
    groups = [tmp_path / "none", tmp_path]
    assert free_memory(groups) == 400
    assert times_out_of_memory(groups) == 3


def test_the_master_from_start_to_end(container: Place) -> None:
    """The real thing but for setup.sh and most items: a fresh process, the master notebook, the final result."""
    rubric = yaml.safe_load(HOMEWORK.rubric.read_bytes())
    rubric["items"] = [item for item in rubric["items"] if item["id"] in ("3a", "3b", "4a")]
    rubric["total"] = sum(item["points"] for item in rubric["items"])
    (container.source / "rubric.yaml").write_text(yaml.safe_dump(rubric))
    text = template.to_text(template.build_master())
    (container.submission / "homework3.ipynb").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "grader.gradescope.run"]
    log = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = results(container)
    assert found["score"] == 4 == sum(test["max_score"] for test in found["tests"]), log
    assert {test["tags"][0] for test in found["tests"]} == {"3a", "4a"}, (
        "what a person judges is no part of it"
    )
    assert found["extra_data"]["provisional"] is False
    assert "2 of 2 points so far" in log
