"""The container as far as a machine without Docker has it: a root file system of its own, the default capabilities.

    python -m tests.gradescope.chroot autograder.zip FOLDER [--suite bookworm] [--mirror URL] [--only NAME]

Needs Linux, root and debootstrap. FOLDER keeps the root file system (``base``) and what setup.sh made of it
(``image``). Each run has a fresh layer over that image, its own process and mount namespaces, /proc, a small /dev,
and Docker's default capabilities without any other, so no CAP_SYS_ADMIN. What this leaves out of the real thing:
Docker's own seccomp profile and AppArmor.

``--copy HOST:INSIDE`` and ``--env NAME=VALUE`` tell setup.sh of mirrors and certificates, where a network needs them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grader.homework3 import HOMEWORK
from tests.gradescope.chroot_submissions import greedy, hanging, hostile, killing, master
from tests.gradescope.container import Container, bootstrap, layer, limited, make_image


class Checks:
    """What must hold in the container."""

    def __init__(self, image: Path, variables: dict[str, str] | None = None) -> None:
        self.image, self.variables = image, variables or {}

    @contextlib.contextmanager
    def container(
        self, files: dict[str, str | bytes], metadata: Any = None, **more: Any
    ) -> Iterator[Container]:
        with layer(self.image) as root:
            for name, text in files.items():
                path = root / "autograder" / "submission" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text if isinstance(text, bytes) else text.encode())
            if metadata is not None:
                (root / "autograder" / "submission_metadata.json").write_text(json.dumps(metadata))
            yield Container(root, **{"variables": self.variables, **more})

    def graded(self, text: str, metadata: Any = None, **more: Any) -> tuple[dict[str, Any], str]:
        with self.container({"homework3.ipynb": text}, metadata, **more) as container:
            status, out = container.run("/autograder/run_autograder")
            assert status == 0, out
            return container.results(), out

    def master(self) -> str:
        results, out = self.graded(master())
        assert results["score"] == sum(test["max_score"] for test in results["tests"]) == 18, (results, out)
        assert "isolation: full" in out, out
        assert not results["extra_data"]["provisional"]
        again, _ = self.graded(master())
        assert _timeless(again) == _timeless(results)
        return f"18 of 18 in {results['execution_time']} s, twice the same"

    def template(self) -> str:
        results, out = self.graded(HOMEWORK.template.read_text(encoding="utf-8"))
        assert results["score"] == 0 and all(test["score"] == 0 for test in results["tests"]), out
        assert sum(test["max_score"] for test in results["tests"]) == 18
        return f"0 of 18 in {results['execution_time']} s"

    def example(self) -> str:
        text = (HOMEWORK.examples / "honest_mistakes.ipynb").read_text(encoding="utf-8")
        due = {"created_at": "2030-03-02T01:00:00Z", "assignment": {"due_date": "2030-03-01T00:00:00Z"}}
        results, _ = self.graded(text, due)
        lost = {test["number"] for test in results["tests"] if test["status"] == "failed"}
        assert lost == {"2a.softmax", "2b.heads", "3a.patches", "4a.unknown", "4d.padding"}, lost
        assert all(
            "counterexample" in test["output"] for test in results["tests"] if test["status"] == "failed"
        )
        assert "1 d 1 h after the due date" in results["output"]
        return f"{results['score']:g} of 18; lost {sorted(lost)}; lateness told"

    def hostile(self) -> str:
        results, out = self.graded(hostile(), {"users": [{"email": "student@example.com"}]})
        text = json.dumps(results) + out
        assert "BREACH" not in text, text
        assert not results["extra_data"]["provisional"]
        assert results["score"] >= 14, results
        killed, out = self.graded(killing())
        # Its answers are right, and the child that gives them outlives its kernel, as nobody kills himself by kill(-1).
        assert not killed["extra_data"]["provisional"] and "the kernel was lost" in killed["output"], (killed, out)
        return (
            f"no breach; {results['score']:g} of 18, which its answers earn; "
            f"one that kills all it may ends its own kernel: {killed['score']:g}"
        )

    def whole_budget_in_one_item(self) -> str:
        results, out = self.graded(hanging())
        assert results["score"] == 14, (results["score"], out)
        assert not results["extra_data"]["provisional"]
        return f"14 of 18 in {results['execution_time']} s"

    def killed_at_any_moment(self) -> str:
        seen = []
        with self.container({"homework3.ipynb": hostile()}) as container:
            for seconds in (0.3, 0.7, 1.5, 3, 5, 8, 12, 16, 20, 24, 30):
                (container.autograder / "results" / "results.json").unlink(missing_ok=True)
                process = container.start("/autograder/run_autograder")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)
                process.kill()
                process.communicate()
                results = container.results()
                assert "BREACH" not in json.dumps(results)
                seen.append(results["score"])
        assert seen == sorted(seen) and seen[-1] > 0, seen
        return f"valid each time; scores so far {seen}"

    def judge_killed(self) -> str:
        """The grading process alone is ended, as by the system for want of memory."""
        script = """
            /autograder/run_autograder &
            until grep -q '"score": [1-9]' /autograder/results/results.json 2>/dev/null; do sleep 0.1; done
            for folder in /proc/[0-9]*; do
                if tr "\\0" " " < $folder/cmdline 2>/dev/null | grep -q "gradescope[.]judge"; then kill -9 ${folder#/proc/}; fi
            done
            wait
        """
        with self.container({"homework3.ipynb": master()}) as container:
            container.run("sh", "-c", script)
            results = container.results()
            assert 0 < results["score"] < 18, results["score"]
            assert "ended" in results["output"] and "memory" in results["output"], results["output"]
            return f"told, and {results['score']:g} points kept"

    def small_machines(self) -> str:
        """The platform's smallest container grades or says why not; the one that is asked for is comfortable."""
        told = []
        for megabytes, cpus in ((3072, 2.0), (768, 0.5), (512, 0.5), (256, 0.5)):
            with limited(megabytes, cpus) as groups:
                results, out = self.graded(master(), groups=groups)
            if megabytes >= 768:
                assert results["score"] == 18, (megabytes, results, out)
                assert ("little memory" in out) == (megabytes < 1200), out
                told.append(f"{megabytes} MB and {cpus} CPU: 18 in {results['execution_time']} s")
            else:
                assert "MB of memory to spare" in results["output"] and not results.get("tests"), results
                told.append(f"{megabytes} MB: refused")
        with limited(1000, 1.0) as groups:
            results, out = self.graded(greedy(), groups=groups)
        assert "memory" in json.dumps([results["output"], results["tests"]]).lower(), results
        assert results["score"] == 14, (results["score"], out)
        told.append("memory without end: 14, and told")
        return "; ".join(told)

    def nothing_and_oddities(self) -> str:
        cases: dict[str, tuple[dict[str, str | bytes], str]] = {
            "none": ({}, "Nothing was handed in"),
            "pdf": ({"homework3.pdf": b"%PDF"}, "is a PDF, not a notebook"),
            "archive": ({"work.zip": b"PK"}, "is in an archive"),
            "several": ({"a.ipynb": "{}", "b.ipynb": "{}"}, "There are 2 notebooks"),
            "broken": ({"homework3.ipynb": "{"}, "nothing to grade"),
        }
        for name, (files, wanted) in cases.items():
            with self.container(files) as container:
                status, out = container.run("/autograder/run_autograder")
                results = container.results()
                assert status == 0 and results["score"] == 0, out
                assert wanted in results["output"], (name, results["output"])
        return ", ".join(cases)

    def conventions(self) -> str:
        """Line ends of Windows, no execute bit, a read-only source folder, a clock ahead."""
        told = []
        template_text = HOMEWORK.template.read_text(encoding="utf-8")
        with self.container({"homework3.ipynb": template_text}) as container:
            source = container.autograder / "source"
            for name in ("setup.sh", "run_autograder", "rubric.yaml", "settings.json", "constraints.txt"):
                path = source / name
                path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
                path.chmod(0o644)
            if (seed := source / "seed.txt").is_file():  # there is none where the seed is public
                seed.write_bytes(seed.read_bytes().strip() + b"\r\n")
            shutil.copyfile(source / "run_autograder", container.autograder / "run_autograder")
            (container.autograder / "run_autograder").chmod(0o644)
            status, out = container.run("bash", "/autograder/source/setup.sh")
            assert status == 0, out
            status, out = container.run("/autograder/run_autograder")
            assert status == 0 and container.results()["score"] == 0, out
            assert "Not graded" not in json.dumps(container.results())
            told.append("CRLF and no execute bit")
        with self.container({"homework3.ipynb": template_text}) as container:
            path = container.autograder / "run_autograder"
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
            path.chmod(0o644)
            status, out = container.run("sh", "/autograder/run_autograder")
            assert status == 0 and not container.results()["extra_data"]["provisional"], out
            told.append("CRLF in run_autograder alone")
        with self.container({"homework3.ipynb": template_text}, read_only_source=True) as container:
            status, out = container.run(
                "sh", "-c", "bash /autograder/source/setup.sh && /autograder/run_autograder"
            )
            assert status == 0 and not container.results()["extra_data"]["provisional"], out
            told.append("read-only source")
        with self.container({"homework3.ipynb": template_text}) as container:
            # Nobody can set this machine's clock for a container; files from the future are what it leaves.
            future = time.time() + 10 * 365 * 86400
            for path in (
                *container.autograder.rglob("*"),
                *(container.root / "opt/hw3-grader/lib").rglob("*.py"),
            ):
                os.utime(path, (future, future))
            status, out = container.run(
                "sh", "-c", "bash /autograder/source/setup.sh && /autograder/run_autograder"
            )
            assert status == 0 and not container.results()["extra_data"]["provisional"], out
            told.append("files from the future")
        return ", ".join(told)


def _timeless(results: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in results.items() if key != "execution_time"}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--suite", default="bookworm")
    parser.add_argument("--mirror", default="http://deb.debian.org/debian")
    parser.add_argument("--copy", action="append", default=[], metavar="HOST:INSIDE")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--keep-image", action="store_true", help="use the image that is there")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    base = bootstrap(folder, options.suite, options.mirror)
    image = folder / "image" if options.keep_image else make_image(base, options.archive, folder, options)
    checks = Checks(image, dict(pair.split("=", 1) for pair in options.env))
    names = options.only or [
        name for name in vars(Checks) if not name.startswith("_") and name not in ("container", "graded")
    ]
    failed = 0
    for name in names:
        started = time.monotonic()
        try:
            found = getattr(checks, name)()
        except AssertionError as error:
            failed += 1
            found = f"FAILED: {str(error)[:3000]}"
        print(f"{name} ({time.monotonic() - started:.0f} s): {found}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
