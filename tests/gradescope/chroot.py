"""The container as far as a machine without Docker has it: a root file system of its own, the default capabilities.

    python tests/gradescope/chroot.py autograder.zip FOLDER [--suite bookworm] [--mirror URL] [--only NAME]

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
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from grader.authoring import notebooks as template
from grader.gradescope.results import valid
from grader.gradescope.trial import unpack
from grader.homework3 import HOMEWORK

CAPABILITIES = (
    "chown,dac_override,fsetid,fowner,mknod,net_raw,setgid,setuid,setfcap,setpcap,net_bind_service,sys_chroot,kill,"
    "audit_write"
)
MOUNTS = r"""
set -e
for group in $GROUPS_TO_JOIN; do echo $$ > "$group/cgroup.procs"; done
root="$1"; shift
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
mkdir -p "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs -o mode=1777,size=64m shm "$root/dev/shm"
for device in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0"; do
    set -- $device "$@"
    mknod -m 666 "$root/dev/$1" c "$2" "$3"; shift 3
done
ln -s /proc/self/fd "$root/dev/fd"
mount -t sysfs -o ro sysfs "$root/sys"
if [ -d /sys/fs/cgroup ]; then mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"; fi
if [ -n "$READ_ONLY_SOURCE" ]; then
    mount --bind "$root/autograder/source" "$root/autograder/source"
    mount -o remount,ro,bind "$root/autograder/source"
fi
exec setpriv --bounding-set "$BOUNDING" --inh-caps -all chroot "$root" "$@"
"""
UNSHARE = ("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Container:
    """A root file system, and how commands run in it."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)
    read_only_source: bool = False
    groups: tuple[Path, ...] = ()
    """Control groups, which limit memory and CPU."""

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        environment = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **self.variables}
        environment["BOUNDING"] = "-all," + ",".join(f"+{name}" for name in CAPABILITIES.split(","))
        environment["GROUPS_TO_JOIN"] = " ".join(map(str, self.groups))
        environment["READ_ONLY_SOURCE"] = "1" if self.read_only_source else ""
        return subprocess.Popen(
            [*UNSHARE, "sh", "-c", MOUNTS, "container", str(self.root), *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, *command: str) -> tuple[int, str]:
        process = self.start(*command)
        out, _ = process.communicate()
        return process.returncode, out.decode("utf-8", "replace")

    @property
    def autograder(self) -> Path:
        return self.root / "autograder"

    def results(self) -> dict[str, Any]:
        """The results, which must follow the specification."""
        found = json.loads((self.autograder / "results" / "results.json").read_text(encoding="utf-8"))
        assert valid(found), found
        return dict(found)


def bootstrap(folder: Path, suite: str, mirror: str) -> Path:
    base = folder / "base"
    if not (base / "usr/bin/env").exists():
        subprocess.run(
            [
                "debootstrap",
                "--variant=minbase",
                "--include=python3,ca-certificates",
                suite,
                str(base),
                mirror,
            ],
            check=True,
        )
    return base


def lay_out(root: Path, archive: Path) -> None:
    """What the platform's own build does with a zip."""
    source = root / "autograder" / "source"
    shutil.rmtree(root / "autograder", ignore_errors=True)
    unpack(archive, source)
    for name in ("submission", "results"):
        (root / "autograder" / name).mkdir()
    shutil.copyfile(source / "run_autograder", root / "autograder" / "run_autograder")
    (root / "autograder" / "run_autograder").chmod(0o755)


def make_image(base: Path, archive: Path, folder: Path, options: argparse.Namespace) -> Path:
    image = folder / "image"
    shutil.rmtree(image, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(image)], check=True)
    shutil.copyfile("/etc/resolv.conf", image / "etc/resolv.conf")
    for pair in options.copy:
        host, _, inside = pair.partition(":")
        target = image / inside.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if Path(host).is_dir() else shutil.copyfile)(host, target)
    lay_out(image, archive)
    container = Container(image, dict(pair.split("=", 1) for pair in options.env))
    for time_ in ("first", "second"):
        started = time.monotonic()
        status, out = container.run("bash", "/autograder/source/setup.sh")
        print(out)
        assert status == 0, f"setup.sh failed with {status}"
        print(f"setup.sh, {time_} time: {time.monotonic() - started:.0f} s", flush=True)
    assert "already set up" in out
    assert (image / "autograder/source").stat().st_mode & 0o777 == 0o700
    return image


@contextlib.contextmanager
def layer(image: Path) -> Iterator[Path]:
    """A fresh container over the image."""
    with tempfile.TemporaryDirectory(prefix="hw3-layer-", dir=image.parent) as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("upper", "work", "root"):
            (folder / part).mkdir()
        layers = f"lowerdir={image},upperdir={folder / 'upper'},workdir={folder / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(folder / "root")], check=True)
        try:
            yield folder / "root"
        finally:
            subprocess.run(["umount", "--lazy", str(folder / "root")], check=True)


@contextlib.contextmanager
def limited(megabytes: int, cpus: float) -> Iterator[tuple[Path, ...]]:
    """Control groups with these limits, in either version of that interface."""
    root, name = Path("/sys/fs/cgroup"), f"hw3-container-{os.getpid()}"
    if (root / "cgroup.controllers").exists():
        settings = {root / name: {"memory.max": f"{megabytes}M", "cpu.max": f"{int(cpus * 100_000)} 100000"}}
    else:
        settings = {
            root / "memory" / name: {"memory.limit_in_bytes": f"{megabytes}M"},
            root / "cpu" / name: {
                "cpu.cfs_period_us": "100000",
                "cpu.cfs_quota_us": f"{int(cpus * 100_000)}",
            },
        }
    for group, values in settings.items():
        group.mkdir()
        for key, value in values.items():
            (group / key).write_text(value)
    try:
        yield tuple(settings)
    finally:
        for group in settings:
            for _ in range(50):
                with contextlib.suppress(OSError):
                    group.rmdir()
                    break
                time.sleep(0.1)


# -- submissions -----------------------------------------------------------------------------------------------


def master() -> str:
    return template.to_text(template.build_master())


def with_cell(change: Callable[[str], str]) -> str:
    """The master with its AttentionHead changed."""
    made = template.build_master()
    for cell in made["cells"]:
        if cell["id"] == "attention-head":
            before = cell["source"]
            cell["source"] = change(before)
            assert cell["source"] != before
    return nbformat.writes(made)


ATTACK = '''
import os as _os, glob as _glob, time as _time

def _attack():
    done = []
    def attempt(name, act):
        try:
            if act():
                done.append(name)
        except BaseException:
            pass
    def read(path):
        with open(path, "rb") as file:
            return len(file.read(64)) > 0
    def write(path):
        with open(path, "w") as file:
            file.write('{"score": 18}')
        return True
    for path in ("/autograder/source/seed.txt", "/autograder/source/rubric.yaml", "/autograder/results/results.json",
                 "/autograder/submission_metadata.json", "/opt/hw3-grader/lib/grader/_shipped/reference/homework3.py",
                 "/opt/hw3-grader/lib/grader/grade.py", "/etc/shadow", "/autograder/results/stdout"):
        attempt("read " + path, lambda: read(path))
    for path in ("/autograder/results/results.json", "/autograder/results/.first", "/autograder/run_autograder",
                 "/autograder/source/seed.txt", "/opt/hw3-grader/venv/lib/x", "/opt/hw3-grader/stamp"):
        attempt("write " + path, lambda: write(path))
    attempt("list results", lambda: bool(_os.listdir("/autograder/results")))
    attempt("list source", lambda: bool(_os.listdir("/autograder/source")))
    attempt("mode", lambda: _os.chmod("/autograder/results", 0o777) is None)
    attempt("replace", lambda: _os.replace("/autograder/results", "/autograder/old") is None)
    attempt("uid", lambda: _os.setuid(0) is None)
    attempt("link", lambda: _os.symlink("/autograder/source/seed.txt", "seed") is None and read("seed"))
    for path in _glob.glob("/proc/[0-9]*/environ") + _glob.glob("/proc/[0-9]*/mem"):
        if path.split("/")[2] != str(_os.getpid()):
            attempt("read " + path, lambda: read(path))
    for name in ("grader", "reference"):
        attempt("import " + name, lambda: __import__(name) is not None)
    if done:
        raise RuntimeError("BREACH " + "; ".join(done)[:250])

def _linger():
    """A process that outlives everything and tries again."""
    if _os.fork() == 0:
        _os.setsid()
        if _os.fork() == 0:
            for _ in range(600):
                try:
                    with open("/autograder/results/results.json", "w") as file:
                        file.write('{"score": 18, "output": "BREACH"}')
                except BaseException:
                    pass
                _time.sleep(0.1)
        _os._exit(0)
'''


KILL = """
import os as _os

def _kill():
    for pid in (*range(1, 400), -1):
        try:
            if pid != _os.getpid():
                _os.kill(pid, 9)
        except OSError:
            pass

"""


def with_forward(line: str, before: str = "") -> str:
    """The master, with a line more in AttentionHead's forward, and text before the class."""

    def change(source: str) -> str:
        lines = source.splitlines()
        place = next(number for number, text in enumerate(lines) if "def forward" in text)
        while not lines[place].rstrip().endswith(":"):
            place += 1
        lines.insert(place + 1, "        " + line)
        return "\n".join(lines).replace("class AttentionHead", before + "class AttentionHead", 1)

    return with_cell(change)


def hostile() -> str:
    """The right answers, which attack when they are called, and leave something behind."""
    return with_forward("_attack(); _linger() if _os.urandom(1) < b'\\x08' else None", ATTACK)


def killing() -> str:
    """Ends every process that it may, its own kernel among them."""
    return with_forward("_kill()", KILL)


def hanging() -> str:
    """Takes all the time that it gets, in one item."""
    return with_forward("while True: pass")


def greedy() -> str:
    """Takes memory without end, in one item."""
    return with_forward("_held = [bytearray(1 << 26) for _ in range(200)]")


# -- checks ----------------------------------------------------------------------------------------------------


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
