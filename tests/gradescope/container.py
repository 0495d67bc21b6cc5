"""A container without Docker: a root file system, what the platform's build does with it, and how commands run in it."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grader.gradescope.results import valid
from grader.gradescope.trial import unpack

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
